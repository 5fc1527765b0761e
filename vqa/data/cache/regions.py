"""Regions that a detector found elsewhere, kept beside the store: which there are, and whether they are all there.

`vqa prepare regions` brings them in; nothing here can make them again, so a picture without them is refused. What a run
learnt from is bound to it by a fingerprint over its training pictures' rows.
"""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vqa.config import Experiment
from vqa.data.cache.layout import INDEX, MANIFEST, Layout, fault_of
from vqa.data.cache.place import cached, place
from vqa.data.cache.rule import DEMANDED
from vqa.data.store import Store
from vqa.errors import DataError
from vqa.model.image_encoder import BOX_VALUES, Regions

if TYPE_CHECKING:
    from torch import Tensor

    from vqa.data.cache.rows import RowFile

SHOWN = 3
"""Ids of pictures that a message names."""


def regions_layout(store: Store, source: str, shape: tuple[int, int], dtype: str) -> Layout:
    """What a file of regions holds.

    Args:
        source: the name that they were brought in under.
        shape: regions a picture, and values of each, its box included.
        dtype: `float16` or `bfloat16`.
    """
    made_from = {"store": store.fingerprint, "source": source}
    return Layout("regions", store.manifest.images, shape, dtype, made_from)


def regions_of(experiment: Experiment) -> Regions | None:
    """The image encoder of an experiment that reads regions; None where it reads something else."""
    encoder = experiment.model.image_encoder
    return encoder if isinstance(encoder, Regions) else None


def find_layout(store: Store, experiment: Experiment) -> Layout:
    """The layout of the regions that an experiment reads.

    Raises:
        DataError: the store has none of that name and shape.
    """
    encoder = regions_of(experiment)
    assert encoder is not None
    for layout in _fitting(store, experiment, encoder):
        folder = place(store, layout.name)
        if (folder / MANIFEST).exists() and fault_of(folder, layout) is None:
            return layout
    there = "; ".join(one.about for one in cached(store) if one.kind == "regions")
    raise DataError(
        f"no regions {_wanted(encoder)}; there are {there or 'none'}",
        where=str(store.path),
        fix=_command(store, encoder),
    )


def _fitting(store: Store, experiment: Experiment, encoder: Regions) -> Iterator[Layout]:
    """Every layout that would do, the best first: one with boxes, so that attention can be drawn."""
    asked = experiment.data.features
    for dtype in (asked,) if asked in DEMANDED else DEMANDED:
        for boxes in (True,) if encoder.boxes else (True, False):
            shape = (encoder.count, encoder.dim + BOX_VALUES * boxes)
            yield regions_layout(store, encoder.source, shape, dtype)


def check_regions(store: Store, experiment: Experiment, rows: np.ndarray) -> Layout:
    """The layout of the regions that an experiment reads; cheap, nothing of them is read.

    Args:
        rows: of the store's images that it will read, each once.

    Raises:
        DataError: the store has no such regions, or pictures at `rows` have none.
    """
    layout, encoder = find_layout(store, experiment), regions_of(experiment)
    assert encoder is not None
    missing = rows[_hashes(place(store, layout.name), layout)[rows] == 0]
    if len(missing):
        raise DataError(
            f"{len(missing):,} of {len(rows):,} pictures have no regions {_wanted(encoder)}"
            f" ({named(store, missing)})",
            where=str(store.path),
            fix=_command(store, encoder),
        )
    return layout


def open_regions(store: Store, experiment: Experiment, rows: np.ndarray) -> RowFile:
    """The file of regions to read from.

    Raises:
        DataError: as `check_regions`, or the file was cut off.
    """
    from vqa.data.cache.rows import find_rows

    layout = check_regions(store, experiment, rows)
    folder = place(store, layout.name)
    file = find_rows(folder, layout, rows)
    if file is None:
        raise DataError(
            "the file of regions is cut off or cannot be read",
            where=str(folder),
            fix="bring them in again with vqa prepare regions",
        )
    return file


def regions_at(store: Store, experiment: Experiment, row: int) -> Tensor | None:
    """The regions of one picture, [regions, values]; None where the experiment reads none.

    Raises:
        DataError: as `open_regions`.
    """
    if regions_of(experiment) is None:
        return None
    rows = np.asarray([row])
    return open_regions(store, experiment, rows).read(rows)[0]


def regions_fingerprint(store: Store, experiment: Experiment) -> str | None:
    """SHA-256 over the regions of the training pictures, by their hashes; None where none are read.

    Raises:
        DataError: as `find_layout`, or the store has no such split.
    """
    if regions_of(experiment) is None:
        return None
    layout = find_layout(store, experiment)
    rows = np.unique(store.image_rows[store.rows(experiment.data.train_split)])
    hashes = _hashes(place(store, layout.name), layout)[rows]
    return hashlib.sha256(layout.fingerprint.encode() + hashes.tobytes()).hexdigest()


def named(store: Store, rows: np.ndarray) -> str:
    """The ids of the first of some pictures, to read."""
    ids = store.image_table.column("image_id").take(rows[:SHOWN]).to_pylist()
    return ", ".join(map(repr, ids)) + (", …" if len(rows) > SHOWN else "")


def _hashes(folder: Path, layout: Layout) -> np.ndarray:
    """The hash of every row, 0 where there is none."""
    data = (folder / INDEX).read_bytes()[: layout.rows * 8]
    return np.frombuffer(data.ljust(layout.rows * 8, b"\0"), dtype="<u8")


def _wanted(encoder: Regions) -> str:
    boxes = " with boxes" if encoder.boxes else ""
    return f"{encoder.source!r} of {encoder.count}×{encoder.dim}{boxes}"


def _command(store: Store, encoder: Regions) -> str:
    """What would bring in the regions that an encoder reads."""
    options = f"--count {encoder.count} --dim {encoder.dim} --source {encoder.source}"
    return f"bring them in: vqa prepare regions {shlex.quote(str(store.path))} FILE… {options}"
