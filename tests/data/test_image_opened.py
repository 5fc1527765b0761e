"""Pillow images: as they are opened, they decode as their files do."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from vqa.data.image import ORIENTATION, decode_image, encode_image
from vqa.errors import DataError

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 10, 3), dtype=np.uint8)


def file_of(picture: Image.Image, kind: str, **settings: Any) -> bytes:
    """The picture as a file."""
    buffer = io.BytesIO()
    picture.save(buffer, kind, **settings)
    return buffer.getvalue()


def turned(orientation: int) -> Image.Exif:
    """What a camera writes that was held so."""
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return exif


def files() -> dict[str, bytes]:
    """Pictures of many kinds."""
    picture = Image.fromarray(PIXELS)
    wide = Image.fromarray(np.arange(60, dtype=np.uint16).reshape(6, 10) * 1000)
    return {
        "cmyk.jpg": file_of(picture.convert("CMYK"), "JPEG"),
        "palette.gif": file_of(picture.convert("P"), "GIF"),
        "grey-alpha.png": file_of(picture.convert("LA"), "PNG"),
        "16-bit.png": file_of(wide, "PNG"),
        **{f"turned-{k}.jpg": file_of(picture, "JPEG", exif=turned(k)) for k in (3, 6, 7)},
        "turned.png": file_of(picture, "PNG", exif=turned(8)),
        "turned.tif": file_of(picture, "TIFF", exif=turned(6)),
    }


@pytest.mark.parametrize("name", files())
def test_an_opened_file_decodes_as_the_file(name: str) -> None:
    data = files()[name]
    encoded = encode_image(Image.open(io.BytesIO(data)))
    np.testing.assert_array_equal(decode_image(encoded), decode_image(data))


@pytest.mark.parametrize("mode", ["YCbCr", "HSV", "1"])
def test_a_mode_that_has_colours_is_turned_into_rgb(mode: str) -> None:
    picture = Image.fromarray(PIXELS).convert(mode)
    np.testing.assert_array_equal(
        decode_image(encode_image(picture)), np.asarray(picture.convert("RGB"))
    )


def test_what_has_no_rgb_is_refused() -> None:
    with pytest.raises(DataError, match="image: 32 bits a pixel without a range"):
        encode_image(Image.new("F", (4, 4)), where="image")
    whole = file_of(Image.fromarray(PIXELS), "JPEG")
    with pytest.raises(DataError, match="image: truncated"):
        encode_image(Image.open(io.BytesIO(whole[:-40])), where="image")
