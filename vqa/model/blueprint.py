"""Whether the bricks of a network fit, found without its weights: torch builds it on the device that has no memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from vqa.errors import ModelError, first_line
from vqa.model.attention import Hard, MultiHead, Soft
from vqa.model.config import ModelConfig, Sizes
from vqa.model.fusion import ImageAlone
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
            network = _without_memory(model, sizes)
    except (RuntimeError, ValueError, ArithmeticError) as error:  # torch's own words for sizes
        raise ModelError(
            f"the network cannot be built for pictures of {sizes.image_height}×{sizes.image_width}"
            f" ({first_line(error)})",
            where="model",
            fix="change data.image_size or the bricks",
        ) from error
    _check_that_the_question_is_read(model, network)
    return network


def _check_that_the_question_is_read(model: ModelConfig, network: Network) -> None:
    """Refuse weights over the only position there is, where nothing else depends on the question."""
    weighing = isinstance(model.attention, Soft | Hard | MultiHead)
    alone = network.image_encoder.positions == 1 and isinstance(model.fusion, ImageAlone)
    if weighing and alone and model.question_encoder.name != "none":
        raise ModelError(
            f"attention={model.attention.name} has one position to look at, whatever the question, and"
            " fusion=image takes nothing else",
            where="model.fusion",
            fix="use another fusion, an earlier stage or larger pictures",
        )


class _Unfilled(TorchFunctionMode):
    """Draws no values for tensors without memory. torch would draw none either, and load its compiler to do so."""

    DRAWING = (
        torch.Tensor.normal_,
        torch.Tensor.uniform_,
        nn.init.normal_,
        nn.init.uniform_,
        nn.init.kaiming_uniform_,
    )

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Leave a tensor as it is."""
        named = kwargs or {}
        if func in self.DRAWING:
            tensor = args[0] if args else named["tensor"]
            if tensor.is_meta:
                return tensor
        return func(*args, **named)


@contextmanager
def weightless() -> Iterator[None]:
    """Modules that are made meanwhile have parameters without memory and values."""
    with torch.device("meta"), _Unfilled():
        yield


def _without_memory(model: ModelConfig, sizes: Sizes) -> Network:
    try:
        with weightless():
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
