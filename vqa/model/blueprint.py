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
LARGEST = 2**31
"""The most parameters of a network that anybody may submit: 32 GiB while Adam trains it."""
FIX = "choose smaller bricks, model.attention.pool=mean, or smaller pictures"


def check_network(model: ModelConfig, image_size: tuple[int, int], answers: int) -> Network:
    """The blueprint of a network for data of these sizes.

    Raises:
        ModelError: the bricks do not fit, they are too large together, or there are no such weights.
    """
    _check_files(model)
    network = blueprint(model, Sizes(*image_size, WORDS, answers))
    count = sum(parameter.numel() for parameter in network.parameters())
    if count > LARGEST:
        raise ModelError(
            f"the network would have {count:,} parameters, more than {LARGEST:,}",
            where="model",
            fix=FIX,
        )
    return network


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
