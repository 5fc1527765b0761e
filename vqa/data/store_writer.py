"""Write a store: its tables through `datasets`, its manifest last."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from datasets import Features, Image
from datasets.arrow_writer import ArrowWriter

from vqa.data.manifest import FILE, Manifest, digest_of
from vqa.data.record import BadRow, Example
from vqa.data.store import (
    EXAMPLE_SCHEMA,
    EXAMPLES,
    IMAGE_SCHEMA,
    IMAGES,
    Store,
    fingerprinted_example,
    fingerprinted_image,
)
from vqa.data.workplace import Workplace
from vqa.errors import DataError

if TYPE_CHECKING:
    from vqa.data.image import ImageInfo

FLUSH_BYTES = 32_000_000
"""Pictures are written out at the latest when so many bytes wait."""
EXAMPLE_FEATURES = Features.from_arrow_schema(EXAMPLE_SCHEMA)
IMAGE_FEATURES = Features(
    {**Features.from_arrow_schema(IMAGE_SCHEMA), "image": Image(decode=False)}
)


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
        self._images = ArrowWriter(path=str(folder / IMAGES), features=IMAGE_FEATURES)
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
        self._digest.update(fingerprinted_example(record))
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
        self._digest.update(fingerprinted_image(image_id, info.sha256))
        image = {"bytes": data, "path": None if path is None else str(path)}
        facts = {"width": info.width, "height": info.height, "sha256": info.sha256}
        self._images.write({"image_id": image_id, "image": image, **facts})
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
