"""Small sources made of rows in memory, and pictures for them."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image

from vqa.data.record import BadRow, Example, ImageInput, Row


def picture(colour: tuple[int, int, int] = (255, 0, 0), size: tuple[int, int] = (8, 6)) -> bytes:
    """A PNG of one colour; size is width, height."""
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, "PNG")
    return buffer.getvalue()


@dataclass
class Rows:
    """A source that yields what it is given."""

    given: Iterable[Row | BadRow]

    def rows(self) -> Iterator[Row | BadRow]:
        yield from self.given


class Maker:
    """Makes rows whose fields are right unless told otherwise."""

    def __init__(self) -> None:
        self._count = 0

    def row(self, image: bytes | Path | None = None, **fields) -> Row:
        self._count += 1
        fields = {
            "question_id": f"q{self._count}",
            "image_id": "red",
            "question": "what colour is it?",
            "answers": ["red"],
        } | fields
        given = (
            ImageInput(path=image, root=image.parent)
            if isinstance(image, Path)
            else ImageInput(data=picture() if image is None else image)
        )
        return Row(Example(**fields), given, f"made, record {self._count}")


@pytest.fixture
def make() -> Maker:
    return Maker()


@pytest.fixture
def rows_of() -> type[Rows]:
    return Rows


@pytest.fixture
def png():
    return picture
