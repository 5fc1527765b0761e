"""A store that was sent from another machine: its examples as JSON Lines, its pictures under the hashes of their files.

FOLDER/
    examples/<first>-<end>.jsonl   canonical examples, each with the `sha256` of its picture (none in a text-only store)
    pictures/<2 digits>/<sha256>
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vqa.data.record import Example, ImageInput, Row
from vqa.errors import DataError


def piece_name(first: int, end: int) -> str:
    """The name of the file with the examples from `first` up to `end`; names sort as examples stand."""
    return f"{first:016d}-{end:016d}.jsonl"


def picture_file(folder: Path, sha256: str) -> Path:
    """Where the picture with this hash stands."""
    return folder / "pictures" / sha256[:2] / sha256


class Damaged(DataError):
    """Examples are not as they came."""


class Staged:
    """The records of an upload in their order.

    Args:
        folder: where it is staged.
        name: what the store is to be called, for messages.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self._name = folder, name

    def rows(self) -> Iterator[Row]:
        """Yield every record once.

        Raises:
            Damaged: what is staged was damaged.
            DataError: a picture has not come.
        """
        numbers = itertools.count(1)
        for file in self._files():
            with file.open(encoding="utf-8") as lines:
                for line, number in zip(lines, numbers, strict=False):
                    yield self._row(line, f"{self._name}, record {number}")

    def bytes(self) -> int:
        """What the store of it will take about: a picture stands in it once for each of its image ids.

        Raises:
            DataError: see `rows`.
        """
        sizes = dict[str, int]()
        for row in self.rows():
            if row.image.path is not None and row.example.image_id not in sizes:
                sizes[row.example.image_id] = row.image.path.stat().st_size
        return sum(sizes.values()) + sum(file.stat().st_size for file in self._files())

    def _files(self) -> list[Path]:
        return sorted((self._folder / "examples").glob("*.jsonl"))

    def _row(self, line: str, where: str) -> Row:
        try:
            fields: dict[str, Any] = json.loads(line)
            sha256 = fields.pop("sha256", None)
            example = Example(**fields)
        except (ValueError, TypeError, AttributeError) as error:
            raise Damaged("what was sent is damaged", where=where, fix="send it again") from error
        if sha256 is None:
            return Row(example, ImageInput(), where)
        picture = picture_file(self._folder, sha256)
        if not picture.is_file():
            raise DataError(f"its picture {sha256} has not come", where=where, fix="send it again")
        return Row(example, ImageInput(picture, self._folder), where)
