"""Bringing published regions into a file of rows beside a store: one picture after another, in constant memory."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from vqa.data.cache.fill import Progress, add_rows
from vqa.data.cache.layout import Layout
from vqa.data.cache.place import place, shortage, taken
from vqa.data.cache.regions import named, regions_layout
from vqa.data.cache.rows import RowFile, count_missing, open_rows
from vqa.data.regions.files import records
from vqa.data.regions.match import Pictures
from vqa.data.regions.record import Form, Record
from vqa.data.store import Store
from vqa.errors import DataError

SHOWN_EVERY = 256
"""Records between two looks at how far it is."""
LOCKED = 0
"""The chunk of the file that whoever adds regions holds."""


@dataclass
class Brought:
    """What came of it.

    Attributes:
        file: where they stand.
        wanted: rows of the store's pictures that were to have regions.
        made: pictures whose regions were added.
        kept: pictures that had them.
        others: records of pictures that the store has not, and one of their ids.
    """

    file: RowFile
    wanted: np.ndarray
    made: int = 0
    kept: int = 0
    others: int = 0
    other: str = ""
    places: dict[int, str] = field(default_factory=dict)

    @property
    def missing(self) -> np.ndarray:
        """Rows of the wanted pictures that have none."""
        return self.file.missing(self.wanted)


def bring_regions(
    store: Store,
    inputs: Sequence[Path],
    form: Form,
    source: str,
    wanted: np.ndarray,
    *,
    overwrite: bool = False,
) -> Brought:
    """Add the regions of every picture that is in the store; what is there already is compared.

    Args:
        inputs: files and folders.
        source: the name to bring them in under.
        wanted: rows of the store's images that are to have regions, ascending.
        overwrite: delete what stands under that name and shape, and begin anew.

    Raises:
        DataError: a record cannot be used, stands twice, or differs from what stands there; what was added before it
            stays, and the same call goes on.
    """
    layout = regions_layout(store, source, form.shape, form.dtype)
    folder = place(store, layout.name)
    for path in inputs:
        records(path, form.dim)  # what is no file of regions is told before anything is deleted
    freed, lacking = (
        (taken(folder), len(wanted)) if overwrite else (0, count_missing(folder, layout, wanted))
    )
    reason = shortage(folder, lacking * layout.row_bytes - freed)
    if reason is not None:
        raise DataError(f"too little room: {reason}", where="cache", fix="free some space")
    file = _opened(folder, layout, overwrite=overwrite)
    brought = Brought(file, wanted)
    try:
        _add(brought, store, _all(inputs, form.dim), form)
    finally:
        file.give_up()
        if not file.index.any():
            shutil.rmtree(folder)
    return brought


def _opened(folder: Path, layout: Layout, *, overwrite: bool) -> RowFile:
    """The file to add to, which no other process adds to. Who reads one that is overwritten reads on.

    Raises:
        DataError: another process does.
    """
    file, _ = open_rows(folder, layout)
    if not file.claim(LOCKED):
        raise DataError("another process is adding regions", where=str(folder), fix="wait for it")
    if not overwrite:
        return file
    shutil.rmtree(folder)
    return _opened(folder, layout, overwrite=False)


def _all(inputs: Sequence[Path], dim: int) -> Iterator[Record]:
    """The records of all files.

    Raises:
        DataError: a file has none, or as the kinds of files say.
    """
    for path in inputs:
        record = None
        for record in records(path, dim):
            yield record
        if record is None:
            raise DataError("no record in it", where=str(path), fix="was it cut off?")


def _add(brought: Brought, store: Store, found: Iterator[Record], form: Form) -> None:
    pictures, file = Pictures(store), brought.file
    needed = len(brought.missing) * file.layout.row_bytes
    with closing(Progress(file, brought.wanted, needed, enabled=True)) as progress:
        for number, record in enumerate(found, start=1):
            row = pictures.row(record.image_id)
            if row is None:
                brought.others, brought.other = brought.others + 1, record.image_id
            else:
                _add_one(brought, pictures, row, record, form)
            if not number % SHOWN_EVERY:
                progress.show()
        progress.show()


def _add_one(brought: Brought, pictures: Pictures, row: int, record: Record, form: Form) -> None:
    file, where = brought.file, record.where
    if row in brought.places:
        raise DataError(
            f"picture {record.image_id!r} stands twice, first in {brought.places[row]}",
            where=where,
            fix="give each picture once",
        )
    brought.places[row] = where
    found = record.read()
    skew = pictures.another_shape(row, found.size)
    if skew is not None:
        raise DataError(
            f"regions of {record.image_id!r} are {skew}",
            where=where,
            fix="is it of the same pictures as the store?",
        )
    value = form.row(found, where)
    if not file.index[row]:
        add_rows(file, np.asarray([row]), value[None])
        brought.made += 1
    elif file.holds(row, value):
        brought.kept += 1
    else:
        raise DataError(
            f"other regions of picture {record.image_id!r} stand there already",
            where=where,
            fix="bring these in under another name with --source, or in their place with --overwrite",
        )


def check_complete(brought: Brought, store: Store) -> None:
    """Refuse what leaves pictures without regions.

    Raises:
        DataError: it does; counts and names them.
    """
    missing, wanted = brought.missing, brought.wanted
    if not len(missing):
        return
    others = (
        f"; {brought.others:,} records are of other pictures, such as {brought.other!r}"
        if brought.others
        else ""
    )
    raise DataError(
        f"{len(missing):,} of {len(wanted):,} pictures have no regions"
        f" ({named(store, missing)}){others}",
        where=str(store.path),
        fix="give the files that have them too: what was added stays; or take it as it is with --allow-missing or"
        " --split, and trainings over such pictures are refused",
    )
