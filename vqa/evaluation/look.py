"""One prediction looked at closely: the picture in the form that the model saw, and its attention over it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vqa.data.image import Resize, check_image, decode_image
from vqa.evaluation.attention_map import overlay

if TYPE_CHECKING:
    from torch import Tensor

    from vqa.evaluation.predictions import Prediction
    from vqa.export import Answer, VQAModel

SIDE = 384
"""The longer side of a picture on a page, in pixels."""


def picture(data: bytes, side: int = SIDE, *, seen: VQAModel | None = None) -> Image.Image:
    """A picture with a longer side of `side` pixels, for people.

    Args:
        data: an encoded picture of anybody's.
        seen: the part of it that this model saw, in more detail than it did; all of it where None.

    Raises:
        DataError: it cannot be read.
    """
    info = check_image(data)
    height, width, resize = info.height, info.width, _resize(seen)
    if seen is not None and resize != "stretch":
        height, width = seen.experiment.data.image_size
    scale = side / max(height, width)
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    return Image.fromarray(decode_image(data, size=size, resize=resize))


def _resize(seen: VQAModel | None) -> Resize:
    """A stretched picture has lost nothing, so it is shown in its own shape."""
    return "stretch" if seen is None else seen.experiment.data.resize


def answer_again(model: VQAModel, data: bytes, item: Prediction, regions: Tensor | None) -> Answer:
    """What the model says now, with its attention.

    Args:
        model: it is asked.
        data: the picture, encoded.
        item: the question.
        regions: of the picture, where the model reads them.

    Raises:
        ModelError: it cannot be asked this question.
        DataError: the picture cannot be read.
    """
    choices = list(dict.fromkeys(item.choices)) or None
    return model.ask(data, item.question, choices, regions=regions)


def glimpse(data: bytes, model: VQAModel, weights: NDArray[np.generic]) -> Image.Image:
    """One glimpse's attention over the picture.

    Raises:
        DataError: the picture cannot be read.
    """
    return overlay(picture(data, seen=model), weights)
