"""A store: two memory-mapped Arrow tables (examples, images) under one content fingerprint.

STORE/
    examples.arrow   the canonical examples, in the source's order
    images.arrow     image_id, image {bytes, path}, width, height, sha256; in a store that was
                     prepared from text only every image is the same grey pixel
    rejected.jsonl   every record that was not used: where, reason, and the image at fault
    store.json       the manifest, written last
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vqa.data.manifest import AGAIN, Manifest, digest_of, read_manifest
from vqa.data.record import BadRow, Example
from vqa.errors import DataError

if TYPE_CHECKING:
    from datasets import Dataset

RECORDS_AT_ONCE = 1000
BACK = "put it back as it was, or prepare the store again"
EXAMPLES, IMAGES = "examples.arrow", "images.arrow"

EXAMPLE_SCHEMA = pa.schema(
    {
        "question_id": pa.string(),
        "image_id": pa.string(),
        "question": pa.string(),
        "answers": pa.list_(pa.string()),
        "choices": pa.list_(pa.string()),
        "label": pa.int32(),
        "question_type": pa.string(),
        "answer_type": pa.string(),
        "split": pa.string(),
    }
)
IMAGE_SCHEMA = pa.schema(
    {
        "image_id": pa.string(),
        "image": pa.struct({"bytes": pa.binary(), "path": pa.string()}),
        "width": pa.int32(),
        "height": pa.int32(),
        "sha256": pa.string(),
    }
)
OLDER_REASON = re.compile(r"image (?P<image>[^:]*/.*?): (?P<reason>.+)", re.DOTALL)
"""How a store says why a picture is unusable that was made before the image was told apart."""


class Store:
    """A prepared data set, opened read-only. Rows are addressed by their position in `example_table`."""

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self.path, self.manifest = path, manifest

    @classmethod
    def open(cls, path: Path | str) -> Store:
        """Open the store at `path`.

        Raises:
            DataError: no store stands there, or one of another format version.
        """
        path = Path(path)
        return cls(path, read_manifest(path))

    @property
    def fingerprint(self) -> str:
        """SHA-256 over every example and every image, in order."""
        return self.manifest.fingerprint

    @cached_property
    def example_table(self) -> pa.Table:
        """The table of canonical examples."""
        rows = sum(self.manifest.splits.values())
        return self._table(EXAMPLES, EXAMPLE_SCHEMA, rows)

    @cached_property
    def image_table(self) -> pa.Table:
        """The table of images; `image` is `{"bytes": …, "path": …}`, not decoded. Its texts are known to be texts."""
        table = self._table(IMAGES, IMAGE_SCHEMA, self.manifest.images)
        _check_table(table.select(["image_id", "sha256"]), self.path / IMAGES)
        return table

    @cached_property
    def examples(self) -> Dataset:
        """`example_table` for who works with `datasets`, which takes half a second to import."""
        _ = self.example_table  # a damaged one is refused
        return _dataset(self.path / EXAMPLES)

    @cached_property
    def images(self) -> Dataset:
        """`image_table` for who works with `datasets`."""
        _ = self.image_table
        return _dataset(self.path / IMAGES)

    def check_split(self, split: str) -> None:
        """Refuse a split that is not there.

        Raises:
            DataError: the store has no such split.
        """
        if split not in self.manifest.splits:
            raise DataError(
                f"no split {split!r}; it has {', '.join(self.manifest.splits)}",
                where=str(self.path),
                fix="name one of these, with --split or in the experiment (data.train_split, evaluation.split, …)",
            )

    def rows(self, split: str) -> np.ndarray:
        """Positions of the examples of `split`, in order.

        Raises:
            DataError: the store has no such split.
        """
        self.check_split(split)
        chosen = pc.equal(self.example_table.column("split"), split)
        return np.flatnonzero(chosen.to_numpy(zero_copy_only=False))

    def column(self, name: str, rows: np.ndarray) -> list[Any]:
        """The values of one column of the examples at `rows`."""
        values: list[Any] = self.example_table.column(name).take(pa.array(rows)).to_pylist()
        return values

    def example(self, row: int) -> Example:
        """The example at `row`."""
        return Example(**_record(self.example_table, row))

    def records(self, first: int = 0) -> Iterator[dict[str, Any]]:
        """The examples from position `first` on, each as plain fields."""
        for start in range(first, self.example_table.num_rows, RECORDS_AT_ONCE):
            yield from self.example_table.slice(start, RECORDS_AT_ONCE).to_pylist()

    def image(self, row: int) -> dict[str, Any]:
        """The record at `row` of `image_table`."""
        return _record(self.image_table, row)

    def image_hashes(self) -> dict[str, str]:
        """Image id → SHA-256 of its file."""
        columns = (self.image_table.column(name).to_pylist() for name in ("image_id", "sha256"))
        return dict(zip(*columns, strict=True))

    def computed_fingerprint(self) -> str:
        """The fingerprint of the content as it stands, each image just before its first example, as `prepare` has it.

        Raises:
            DataError: an example's image is not in the table.
        """
        digest, hashes, written = hashlib.sha256(), self.image_hashes(), set[str]()
        for record in self.records():
            image_id = record["image_id"]
            if image_id not in hashes:
                raise DataError(f"has no image {image_id!r}", where=str(self.path))
            if image_id not in written:
                written.add(image_id)
                digest.update(fingerprinted_image(image_id, hashes[image_id]))
            digest.update(fingerprinted_example(record))
        return digest.hexdigest()

    @cached_property
    def image_rows(self) -> np.ndarray:
        """For every example the position of its image in `image_table`; int64 [examples].

        Raises:
            DataError: one is not there: the tables are of two stores.
        """
        ids = self.image_table.column("image_id").combine_chunks()
        found = pc.index_in(self.example_table.column("image_id"), value_set=ids)
        if found.null_count:
            what = f"{found.null_count:,} examples are about images that images.arrow has not"
            raise DataError(what, where=str(self.path / EXAMPLES), fix=AGAIN)
        places: np.ndarray = found.to_numpy()
        return places

    def validate(self) -> None:
        """Look through both tables for damage, at which a process that reads them might die.

        Raises:
            DataError: there is some.
        """
        self.check_examples()
        for name, table in ((EXAMPLES, self.example_table), (IMAGES, self.image_table)):
            _check_table(table, self.path / name)

    def check_examples(self) -> None:
        """Refuse examples that are not as they were written, as far as that is known; as quick as reading the file.

        Raises:
            DataError: a bit of them was changed since.
        """
        file, written = self.path / EXAMPLES, self.manifest.examples_xxh3
        if written and written != digest_of(file):
            raise DataError("damaged table (not as it was written)", where=str(file), fix=AGAIN)

    def image_bytes(self, row: int) -> bytes:
        """The encoded bytes of the image at `row` of `image_table`.

        Raises:
            DataError: it was changed since, or the store keeps paths and the file is gone.
        """
        record = self.image(row)
        data, where, fix = record["image"]["bytes"], str(record["image"]["path"]), BACK
        if data is None:
            data = _linked(Path(where))
        else:
            where, fix = f"{self.path / IMAGES}, image {record['image_id']!r}", AGAIN
        if hashlib.sha256(data).hexdigest() != record["sha256"]:
            what = "image changed since the store was prepared"
            raise DataError(what, where=where, fix=fix)
        return bytes(data)

    def rejected(self, limit: int | None = None) -> list[BadRow]:
        """The first `limit` records that were not used, each as a `BadRow`."""
        try:
            with (self.path / "rejected.jsonl").open(encoding="utf-8") as lines:
                return [_bad_row(json.loads(line)) for line in itertools.islice(lines, limit)]
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise DataError(
                f"unreadable ({error})", where=str(self.path / "rejected.jsonl")
            ) from error

    def _table(self, name: str, schema: pa.Schema, rows: int) -> pa.Table:
        where = str(self.path / name)
        try:
            table = pa.ipc.open_stream(pa.memory_map(where)).read_all()
            if table.schema.types != schema.types:
                raise ValueError("columns of other kinds")
            table.select(schema.names)
        except Exception as error:  # what a damaged header makes the library raise is not specified
            raise DataError(f"unreadable table ({error})", where=where, fix=AGAIN) from error
        if len(table) != rows:  # one that was cut off between two batches can be read
            what = f"it has {len(table):,} rows, where store.json says {rows:,}"
            raise DataError(what, where=where, fix=AGAIN)
        return table


def _dataset(file: Path) -> Dataset:
    from datasets import Dataset

    return Dataset.from_file(str(file))


def _record(table: pa.Table, row: int) -> dict[str, Any]:
    """A row of a table; one below 0 is counted from the end."""
    found: dict[str, Any] = table.slice(range(len(table))[int(row)], 1).to_pylist()[0]
    return found


def _check_table(table: pa.Table, file: Path) -> None:
    """Refuse offsets that lead nowhere and texts that are none: reading them raises anything, or ends the process."""
    try:
        table.validate(full=True)
    except pa.ArrowException as error:
        raise DataError(f"damaged table ({error})", where=str(file), fix=AGAIN) from error


def _linked(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        what = f"image is gone ({error.strerror})"
        raise DataError(what, where=str(path), fix=BACK) from error


def fingerprinted_example(record: Mapping[str, Any]) -> bytes:
    """What of an example goes into the fingerprint."""
    return json.dumps(record).encode()


def fingerprinted_image(image_id: str, sha256: str) -> bytes:
    """What of an image goes into the fingerprint."""
    return json.dumps([image_id, sha256]).encode()


def _bad_row(record: dict[str, str]) -> BadRow:
    """A record of rejected.jsonl; older programs wrote the image's path into the reason."""
    older = None if "image" in record else OLDER_REASON.fullmatch(record["reason"])
    return BadRow(**record | older.groupdict()) if older else BadRow(**record)
