"""Whether the bricks of a network fit, found without its weights: torch builds it on the device that has no memory."""

from __future__ import annotations

import torch

from vqa.errors import ModelError
from vqa.model.config import ModelConfig, Sizes
from vqa.model.image_encoder import TorchVision
from vqa.model.question_encoder import WordVectors

WORDS = 2
"""Any number of words fits a recurrent encoder; another kind brings its own."""


def check_network(model: ModelConfig, image_size: tuple[int, int], answers: int) -> None:
    """Build a network for data of these sizes and drop it.

    Raises:
        ModelError: the bricks do not fit, or there are no such weights.
    """
    _check_files(model)
    height, width = image_size
    try:
        with torch.device("meta"):
            model.build(Sizes(height, width, WORDS, answers), pretrained=False)
    except (RuntimeError, ValueError, ArithmeticError) as error:  # torch's own words for sizes
        reason = str(error).strip().splitlines()
        raise ModelError(
            f"the network cannot be built for pictures of {height}×{width}"
            f" ({reason[0] if reason else type(error).__name__})",
            where="model",
            fix="change data.image_size or the bricks",
        ) from error


def _check_files(model: ModelConfig) -> None:
    """Refuse weights and word vectors that training could not read."""
    if isinstance(model.image_encoder, TorchVision):
        from vqa.model.image_encoder.torchvision import check_weights

        check_weights(model.image_encoder)
    for encoder in (model.question_encoder, getattr(model.head, "encoder", None)):
        if isinstance(encoder, WordVectors) and encoder.vectors is not None:
            from vqa.model.question_encoder.vectors import check_width

            check_width(encoder.vectors, encoder.embedding_dim)
