"""Whether the bricks of a network fit, found without its weights: torch builds it on the device that has no memory."""

from __future__ import annotations

from pathlib import Path

import torch

from vqa.errors import ModelError
from vqa.model.config import ModelConfig, Sizes
from vqa.model.image_encoder import Small, TorchVision
from vqa.model.network import Network
from vqa.model.question_encoder import WordVectors
from vqa.model.weights import check_weight_file

WORDS = 2
"""Any number of words fits a recurrent encoder; another kind brings its own."""
LARGEST = 2**35
"""The most bytes that a network which anybody may submit takes while it trains: two billion parameters."""
COPIES = 4
"""Of a parameter that is trained: itself, its gradient and Adam's two moments."""
FIX = "choose smaller bricks, model.attention.pool=mean, or smaller pictures"


def check_network(
    model: ModelConfig, image_size: tuple[int, int], answers: int, memory: int = LARGEST
) -> None:
    """Build a network for data of these sizes and drop it.

    Args:
        memory: bytes of what it is to be trained on.

    Raises:
        ModelError: the bricks do not fit, they are too large together, or there are no such weights.
    """
    _check_files(model)
    network = blueprint(model, Sizes(*image_size, WORDS, answers))
    needed = sum(p.nbytes * (COPIES if p.requires_grad else 1) for p in network.parameters())
    if needed > min(memory, LARGEST):
        count = sum(parameter.numel() for parameter in network.parameters())
        raise ModelError(
            f"the network would have {count:,} parameters and take {needed / 2**30:,.0f} GiB while it trains,"
            f" more than the {min(memory, LARGEST) / 2**30:,.0f} there are",
            where="model",
            fix=FIX,
        )


def blueprint(model: ModelConfig, sizes: Sizes) -> Network:
    """A network for data of these sizes; its parameters have shapes and, but for some kinds, no values.

    Raises:
        ModelError: the bricks do not fit.
    """
    try:
        with torch.random.fork_rng(devices=()):
            return _without_memory(model, sizes)
    except (RuntimeError, ValueError, ArithmeticError) as error:  # torch's own words for sizes
        reason = str(error).strip().splitlines()
        raise ModelError(
            f"the network cannot be built for pictures of {sizes.image_height}×{sizes.image_width}"
            f" ({reason[0] if reason else type(error).__name__})",
            where="model",
            fix="change data.image_size or the bricks",
        ) from error


def _without_memory(model: ModelConfig, sizes: Sizes) -> Network:
    try:
        with torch.device("meta"):
            return model.build(sizes, pretrained=False)
    except NotImplementedError:  # some kinds read values while they are made
        return model.build(sizes, pretrained=False)


def _check_files(model: ModelConfig) -> None:
    """Refuse weights and word vectors that training could not read."""
    encoder = model.image_encoder
    if isinstance(encoder, TorchVision):
        from vqa.model.image_encoder.torchvision import check_weights

        check_weights(encoder)
    if isinstance(encoder, Small) and encoder.weights != "none":
        check_weight_file(Path(encoder.weights))
    for reader in (model.question_encoder, getattr(model.head, "encoder", None)):
        if isinstance(reader, WordVectors) and reader.vectors is not None:
            from vqa.model.question_encoder.vectors import check_width

            check_width(reader.vectors, reader.embedding_dim)
