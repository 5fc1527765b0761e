"""A store: two memory-mapped Arrow tables (examples, images) under one content fingerprint.

STORE/
    examples.arrow   the canonical examples, in the source's order
    images.arrow     image_id, image {bytes, path}, width, height, sha256; in a store that was
                     prepared from text only every image is the same grey pixel
    rejected.jsonl   every record that was not used: where, reason, and the image at fault
    store.json       the manifest, written last
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import itertools
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset, Features, Image, List, Value
from datasets.arrow_writer import ArrowWriter

from vqa.data.manifest import AGAIN, FILE, Manifest, digest_of, read_manifest
from vqa.data.record import BadRow, Example
from vqa.data.workplace import Workplace
from vqa.errors import DataError

if TYPE_CHECKING:
    from vqa.data.image import ImageInfo

RECORDS_AT_ONCE = 1000
BACK = "put it back as it was, or prepare the store again"
EXAMPLES = "examples.arrow"
FLUSH_BYTES = 32_000_000
"""Pictures are written out at the latest when so many bytes wait."""

EXAMPLE_FEATURES = Features(
    {
        "question_id": Value("string"),
        "image_id": Value("string"),
        "question": Value("string"),
        "answers": List(Value("string")),
        "choices": List(Value("string")),
        "label": Value("int32"),
        "question_type": Value("string"),
        "answer_type": Value("string"),
        "split": Value("string"),
    }
)
IMAGE_FEATURES = Features(
    {
        "image_id": Value("string"),
        "image": Image(decode=False),
        "width": Value("int32"),
        "height": Value("int32"),
        "sha256": Value("string"),
    }
)
OLDER_REASON = re.compile(r"image (?P<image>[^:]*/.*?): (?P<reason>.+)", re.DOTALL)
"""How a store says why a picture is unusable that was made before the image was told apart."""


class Store:
    """A prepared data set, opened read-only. Rows are addressed by their position in `examples`."""

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
    def examples(self) -> Dataset:
        """The table of canonical examples."""
        rows = sum(self.manifest.splits.values())
        return self._table(EXAMPLES, EXAMPLE_FEATURES, rows)

    @cached_property
    def images(self) -> Dataset:
        """The table of images; `image` is `{"bytes": …, "path": …}`, not decoded."""
        return self._table("images.arrow", IMAGE_FEATURES, self.manifest.images)

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
        chosen = pc.equal(self.examples.data.column("split"), split)
        return np.flatnonzero(chosen.to_numpy(zero_copy_only=False))

    def column(self, name: str, rows: np.ndarray) -> list[Any]:
        """The values of one column of the examples at `rows`."""
        values: list[Any] = self.examples.data.column(name).take(pa.array(rows)).to_pylist()
        return values

    def example(self, row: int) -> Example:
        """The example at `row`."""
        return Example(**self.examples[int(row)])

    def records(self, first: int = 0) -> Iterator[dict[str, Any]]:
        """The examples from position `first` on, each as plain fields."""
        for start in range(first, self.examples.num_rows, RECORDS_AT_ONCE):
            yield from self.examples.data.slice(start, RECORDS_AT_ONCE).to_pylist()

    def image_hashes(self) -> dict[str, str]:
        """Image id → SHA-256 of its file."""
        columns = (self.images.data.column(name).to_pylist() for name in ("image_id", "sha256"))
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
                digest.update(_of_image(image_id, hashes[image_id]))
            digest.update(_of_example(record))
        return digest.hexdigest()

    @cached_property
    def image_rows(self) -> np.ndarray:
        """For every example the position of its image in `images`; int64 [examples].

        Raises:
            DataError: one is not there: the tables are of two stores.
        """
        ids = self.images.data.column("image_id").combine_chunks()
        found = pc.index_in(self.examples.data.column("image_id"), value_set=ids)
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
        for name, table in ((EXAMPLES, self.examples), ("images.arrow", self.images)):
            try:
                table.data.validate(full=True)
            except pa.ArrowException as error:
                what = f"damaged table ({error})"
                raise DataError(what, where=str(self.path / name), fix=AGAIN) from error

    def check_examples(self) -> None:
        """Refuse examples that are not as they were written, as far as that is known; as quick as reading the file.

        Raises:
            DataError: a bit of them was changed since.
        """
        file, written = self.path / EXAMPLES, self.manifest.examples_xxh3
        if written and written != digest_of(file):
            raise DataError("damaged table (not as it was written)", where=str(file), fix=AGAIN)

    def image_bytes(self, row: int) -> bytes:
        """The encoded bytes of the image at `row` of `images`.

        Raises:
            DataError: it was changed since, or the store keeps paths and the file is gone.
        """
        record = self.images[int(row)]
        data, where, fix = record["image"]["bytes"], str(record["image"]["path"]), BACK
        if data is None:
            data = _linked(Path(where))
        else:
            where, fix = f"{self.path / 'images.arrow'}, image {record['image_id']!r}", AGAIN
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

    def _table(self, name: str, features: Features, rows: int) -> Dataset:
        where = str(self.path / name)
        try:
            table = Dataset.from_file(where)
            if table.data.schema.types != features.arrow_schema.types:
                raise ValueError("columns of other kinds")
            table.data.select(list(features))
        except Exception as error:  # what a damaged header makes the library raise is not specified
            raise DataError(f"unreadable table ({error})", where=where, fix=AGAIN) from error
        if len(table) != rows:  # one that was cut off between two batches can be read
            what = f"it has {len(table):,} rows, where store.json says {rows:,}"
            raise DataError(what, where=where, fix=AGAIN)
        return table


def _linked(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        what = f"image is gone ({error.strerror})"
        raise DataError(what, where=str(path), fix=BACK) from error


def _of_example(record: Mapping[str, Any]) -> bytes:
    """What of an example goes into the fingerprint."""
    return json.dumps(record).encode()


def _of_image(image_id: str, sha256: str) -> bytes:
    """What of an image goes into the fingerprint."""
    return json.dumps([image_id, sha256]).encode()


def _bad_row(record: dict[str, str]) -> BadRow:
    """A record of rejected.jsonl; older programs wrote the image's path into the reason."""
    older = None if "image" in record else OLDER_REASON.fullmatch(record["reason"])
    return BadRow(**record | older.groupdict()) if older else BadRow(**record)


class StoreWriter:
    """Writes a store beside its destination and moves it there whole, or leaves nothing.

    Use as a context manager; `commit` moves the finished store into place.
    """

    def __init__(self, path: Path, *, overwrite: bool = False) -> None:
        self.path, self._overwrite = path, overwrite
        self._check_free()
        self._work = Workplace(path)
        try:
            self._open_tables(self._work.new)
        except OSError:
            self._work.close()
            raise
        self._waiting_bytes = 0
        self._digest = hashlib.sha256()
        self._splits: Counter[str] = Counter()
        self._counts: Counter[str] = Counter()

    def _open_tables(self, folder: Path) -> None:
        folder.mkdir()
        self._examples = ArrowWriter(path=str(folder / EXAMPLES), features=EXAMPLE_FEATURES)
        self._images = ArrowWriter(path=str(folder / "images.arrow"), features=IMAGE_FEATURES)
        self._rejected = (folder / "rejected.jsonl").open(
            "w", encoding="utf-8", errors="backslashreplace"
        )

    def __enter__(self) -> StoreWriter:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            for file in (self._examples, self._images, self._rejected):
                with contextlib.suppress(OSError):  # a full disk; what is closed here is not kept
                    file.close()
        finally:
            self._work.close()

    def add_example(self, example: Example) -> None:
        """Append one example."""
        record = {name: getattr(example, name) for name in EXAMPLE_FEATURES}
        self._digest.update(_of_example(record))
        self._examples.write(record)
        self._splits[example.split] += 1

    def add_image(
        self,
        image_id: str,
        info: ImageInfo,
        *,
        data: bytes | None = None,
        path: Path | None = None,
    ) -> None:
        """Append one image: its bytes, or the path where they lie."""
        self._digest.update(_of_image(image_id, info.sha256))
        image = {"bytes": data, "path": None if path is None else str(path)}
        self._images.write({"image_id": image_id, "image": image, **vars(info)})
        self._counts["images"] += 1
        self._waiting_bytes += len(data or b"")
        if self._waiting_bytes > FLUSH_BYTES:
            self._images.write_examples_on_file()
            self._waiting_bytes = 0

    def reject(self, row: BadRow) -> None:
        """Note a record that is not used."""
        self._rejected.write(json.dumps(dataclasses.asdict(row), ensure_ascii=False) + "\n")
        self._counts["rejected"] += 1

    def commit(self, source: str, *, text_only: bool = False) -> Store:
        """Finish the tables, write the manifest last and move the store into place."""
        self._examples.finalize()
        self._images.finalize()
        self._rejected.close()
        manifest = Manifest(
            fingerprint=self._digest.hexdigest(),
            source=source,
            splits=dict(self._splits),
            images=self._counts["images"],
            rejected=self._counts["rejected"],
            text_only=text_only,
            examples_xxh3=digest_of(self._work.new / EXAMPLES),
        )
        text = json.dumps(dataclasses.asdict(manifest), indent=2, ensure_ascii=False)
        (self._work.new / FILE).write_text(text + "\n", encoding="utf-8")
        self._work.new.chmod(0o755)
        self._check_free()
        self._work.move()
        return Store(self.path, manifest)

    def _check_free(self) -> None:
        if not self.path.exists():
            return
        if not (self.path / FILE).exists():
            raise DataError(
                "already exists and is no store", where=str(self.path), fix="choose another --to"
            )
        if not self._overwrite:
            fix = "choose another --to, or replace this store with --overwrite"
            raise DataError("already exists", where=str(self.path), fix=fix)
