"""Small pictures made anew."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from vqa.data.thumbnail import thumbnail
from vqa.errors import DataError


def encoded(kind: str, size: tuple[int, int] = (400, 100), **options) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, (200, 30, 30)).save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("kind", "made"), [("PNG", "png"), ("JPEG", "jpeg"), ("GIF", "png"), ("WEBP", "png")]
)
def test_it_keeps_its_shape_and_is_never_enlarged(kind: str, made: str) -> None:
    for side, size in ((100, (100, 25)), (1000, (400, 100))):
        small = thumbnail(encoded(kind), side)
        assert small.kind == made
        opened = Image.open(io.BytesIO(small.data))
        assert (opened.format, opened.size) == (made.upper(), size)
        red, green, blue = opened.convert("RGB").getpixel((5, 5))
        assert abs(red - 200) < 8
        assert abs(green - 30) < 8
        assert abs(blue - 30) < 8


def test_nothing_of_the_file_stays_but_its_pixels() -> None:
    exif = Image.Exif()
    exif[0x010E] = "SECRET"
    data = encoded("JPEG", exif=exif) + b"<script>trailing</script>"
    assert b"SECRET" in data
    small = thumbnail(data, 100).data
    assert b"SECRET" not in small
    assert b"script" not in small


@pytest.mark.parametrize("data", [b"", b"<svg onload=alert(1)>", encoded("PNG")[:60]])
def test_what_is_no_picture_is_refused(data: bytes) -> None:
    with pytest.raises(DataError):
        thumbnail(data, 100)
