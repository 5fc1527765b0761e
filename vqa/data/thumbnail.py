"""Pictures of a store for people: read with care and made anew, so that a browser gets nothing else."""

from __future__ import annotations

import io
from typing import Literal, NamedTuple

from PIL import Image

from vqa.data.image import check_image, decode_image, png

JPEG_MAGIC, JPEG_QUALITY = b"\xff\xd8\xff", 88


class Thumbnail(NamedTuple):
    """An encoded picture and its kind."""

    data: bytes
    kind: Literal["png", "jpeg"]


def thumbnail(data: bytes, side: int) -> Thumbnail:
    """A picture with a longer side of at most `side` pixels, never enlarged: JPEG where it was one, PNG otherwise.

    Nothing of the file stays but its pixels.

    Raises:
        DataError: it cannot be read.
    """
    info = check_image(data)
    scale = min(1.0, side / max(info.height, info.width))
    size = (max(1, round(info.height * scale)), max(1, round(info.width * scale)))
    picture = Image.fromarray(decode_image(data, size=size))
    if data.startswith(JPEG_MAGIC):
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=JPEG_QUALITY)
        return Thumbnail(buffer.getvalue(), "jpeg")
    return Thumbnail(png(picture), "png")
