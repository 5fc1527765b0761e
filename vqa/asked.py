"""What a model is asked: the question and its choices, the picture, and what a detector found in it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

from vqa.config import Experiment
from vqa.data.image import encode_image, read_image
from vqa.data.record import ImageInput
from vqa.data.regions.files import read_one
from vqa.data.regions.record import Form
from vqa.errors import ModelError
from vqa.model.image_encoder import BOX_VALUES, Regions

MAX_QUESTION = 4000


def check_words(question: object, choices: object) -> None:
    """Refuse what is no question, and one text in the place of several choices.

    Raises:
        ModelError: it is that.
    """
    if not isinstance(question, str):
        raise ModelError(f"text is expected, not {question!r:.40}", where="question")
    check_text(question, "question", "a question")
    if isinstance(choices, str | bytes):
        raise ModelError(
            f"a list of texts is expected, not {choices!r:.40}",
            where="choices",
            fix='write ["red", "blue"]',
        )


def check_text(text: str, where: str, what: str) -> None:
    """Refuse what no store would hold as a question or a choice.

    Raises:
        ModelError: it is blank, overlong, or not all of it is characters.
    """
    if not text.strip() or len(text) > MAX_QUESTION:
        raise ModelError(f"{what} has 1 to {MAX_QUESTION} characters", where=where)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ModelError(
            f"half a character in {text!a:.40}", where=where, fix="give it as UTF-8"
        ) from None


def encoded_picture(image: str | Path | bytes | Image.Image | np.ndarray) -> bytes:
    """The picture as a file has it.

    Raises:
        ModelError: it is none of these.
        DataError: a file cannot be read, is no plain file or too large; a Pillow image cannot be decoded.
    """
    if isinstance(image, bytes):
        return image
    if isinstance(image, np.ndarray):
        image = _from_pixels(image)
    if isinstance(image, Image.Image):
        return encode_image(image, where="image")
    if not isinstance(image, str | Path):
        raise ModelError(
            f"a file, its bytes, a Pillow image or pixels are expected, not {image!r:.40}",
            where="image",
        )
    return read_image(ImageInput(path=Path(image)))


def _from_pixels(pixels: np.ndarray) -> Image.Image:
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
        raise ModelError(
            f"pixels are uint8 [height, width, 3], not {pixels.dtype} {list(pixels.shape)}",
            where="image",
        )
    return Image.fromarray(pixels)


def region_row(
    experiment: Experiment, encoder: Regions, regions: str | Path | Tensor | None
) -> Tensor:
    """What a detector found in a picture, [regions, values].

    Raises:
        ModelError: nothing was given, or of another shape.
        DataError: the file cannot be used.
    """
    if regions is None:
        raise ModelError(
            "this model reads regions that a detector found, and no detector is part of this program",
            where="regions",
            fix="give them, too: vqa ask RUN IMAGE QUESTION --regions FILE, or ask(…, regions=FILE)",
        )
    if isinstance(regions, str | Path):
        dtype = "bfloat16" if experiment.data.features == "bfloat16" else "float16"
        form = Form(encoder.count, encoder.dim, encoder.boxes, pad=True, dtype=dtype)
        return read_one(Path(regions), form)
    widths = (encoder.channels, encoder.dim + BOX_VALUES)
    if regions.ndim != 2 or regions.shape[0] != encoder.count or regions.shape[1] not in widths:
        shape = "×".join(map(str, regions.shape))
        raise ModelError(
            f"regions of {shape}, and the model reads {encoder.count}×{encoder.channels}",
            where="regions",
        )
    return regions
