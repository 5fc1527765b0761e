"""Pictures of anybody's on pages: read with care and made anew, so that a browser gets a small PNG and nothing else."""

from __future__ import annotations

import io

SIDE = 320
"""The longer side, in pixels."""


def thumbnail(data: bytes) -> bytes:
    """A small PNG of an encoded picture.

    Raises:
        DataError: it cannot be read.
    """
    from PIL import Image

    from vqa.data.image import check_image, decode_image

    info = check_image(data)
    scale = SIDE / max(info.height, info.width)
    size = (max(1, round(info.height * scale)), max(1, round(info.width * scale)))
    made = io.BytesIO()
    Image.fromarray(decode_image(data, size=size)).save(made, "PNG")
    return made.getvalue()
