"""A small CNN for small pictures."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn
from typing_extensions import override

from vqa.model.image_encoder.convolutions import PointConvolution, StridedConvolution
from vqa.model.image_encoder.grid import Standardize, positions_last
from vqa.model.layers import BatchNorm2d
from vqa.model.parts import ImageEncoder
from vqa.model.weights import load_what_is_needed, read_state_dict

PREFIX = "image_encoder."
"""Of the names in a whole network's state dict."""


class SmallCNN(ImageEncoder):
    """Stages of convolution, batch norm, ReLU; in channels-last memory, the fastest on a CPU.

    A stage of stride s brings a side of n pixels to ⌈n / s⌉.
    """

    def __init__(
        self,
        image_size: tuple[int, int],
        channels: Sequence[int],
        strides: Sequence[int],
        kernel: int,
        pool: bool,
        *,
        frozen: bool = False,
    ) -> None:
        super().__init__()
        self.frozen = frozen
        height, width = image_size
        for stride in strides:
            height, width = -(-height // stride), -(-width // stride)
        self.grid, self.dim = (height, width), channels[-1]
        self.standardize = Standardize((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
        sizes = zip(pairwise((3, *channels)), strides, strict=True)
        self.stages = nn.Sequential(
            *(stage(before, after, stride, kernel, pool) for (before, after), stride in sizes)
        )
        self.to(memory_format=torch.channels_last)
        if frozen:
            self.stages.requires_grad_(False)
        self.train(self.training)

    @override
    def train(self, mode: bool = True) -> SmallCNN:
        """Frozen stages stay in evaluation mode: their batch norms keep their statistics."""
        super().train(mode)
        if self.frozen:
            self.stages.eval()
        return self

    @override
    def forward(
        self, images: Float[Tensor, "images 3 height width"]
    ) -> Float[Tensor, "images positions dim"]:
        """Pictures in 0…1 to their grid."""
        images = self.standardize(images).contiguous(memory_format=torch.channels_last)
        with torch.no_grad() if self.frozen else contextlib.nullcontext():
            return positions_last(self.stages(images))


def load_small(encoder: SmallCNN, weights: str) -> None:
    """Load a state dict of the encoder alone, or of a whole network that holds it.

    Raises:
        ModelError: it cannot be read, or does not fit.
    """
    state = read_state_dict(Path(weights))
    inside = {
        name.removeprefix(PREFIX): tensor
        for name, tensor in state.items()
        if name.startswith(PREFIX)
    }
    load_what_is_needed(encoder, inside or state, where=weights)


def stage(before: int, after: int, stride: int, kernel: int, pool: bool) -> nn.Sequential:
    """Convolution, batch norm, ReLU; shrunk by the convolution or by max-pooling."""
    step = 1 if pool else stride
    # The batch norm has the bias.
    strided = PointConvolution if kernel == 1 else StridedConvolution
    kind = strided if step > 1 else nn.Conv2d
    convolution = kind(before, after, kernel, step, padding=kernel // 2, bias=False)
    layers: list[nn.Module] = [convolution, BatchNorm2d(after), nn.ReLU(inplace=True)]
    if pool and stride > 1:
        layers.append(nn.MaxPool2d(stride, ceil_mode=True))
    return nn.Sequential(*layers)
