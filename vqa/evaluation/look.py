"""What a model saw and said: the picture in the form that it saw, and all that is worth seeing of its answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vqa.data.image import Resize, check_image, decode_image
from vqa.evaluation.attention_map import overlay

if TYPE_CHECKING:
    from torch import Tensor

    from vqa.export import Answer, VQAModel

SIDE = 384
"""The longer side of a picture on a page, in pixels."""


@dataclass(frozen=True)
class Glimpse:
    """One glimpse of the attention.

    Attributes:
        weights: of each place of the grid; [rows, columns].
        overlay: the same as colour over the picture.
    """

    weights: NDArray[np.generic]
    overlay: Image.Image


@dataclass(frozen=True)
class Answered:
    """What a model said.

    Attributes:
        answer: the answer.
        words: the question's words as they were written, each with whether the model knows it.
        unsayable: the choices that the model cannot say.
        seen: the part of the picture that the model saw, larger than it did.
        glimpses: where it looked; none without attention.
    """

    answer: Answer
    words: list[tuple[str, bool]]
    unsayable: list[str]
    seen: Image.Image
    glimpses: list[Glimpse]


def answer_question(
    model: VQAModel,
    data: bytes,
    question: str,
    choices: Sequence[str] = (),
    regions: Tensor | None = None,
) -> Answered:
    """Put a question about a picture of anybody's to a model.

    Args:
        model: it is asked.
        data: the picture, encoded.
        question: in words.
        choices: the candidates, where one of several is to be picked.
        regions: of the picture, where the model reads them.

    Raises:
        ModelError: the question is empty or overlong, a choice stands twice, or the model needs choices or regions.
        DataError: the picture cannot be read.
    """
    seen = picture(data, seen=model)
    answer = model.ask(data, question, list(choices) or None, regions=regions)
    maps = () if answer.attention is None else answer.attention
    said = {text for text, _ in answer.top}
    return Answered(
        answer,
        model.tokenizer.pieces(question),
        [choice for choice in choices if choice not in said],
        seen,
        [Glimpse(weights, overlay(seen, weights)) for weights in maps],
    )


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
