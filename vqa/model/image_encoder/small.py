"""A small CNN for small pictures."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn
from typing_extensions import override

from vqa.model.image_encoder.grid import Standardize, positions_last
from vqa.model.parts import ImageEncoder


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
    ) -> None:
        super().__init__()
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

    @override
    def forward(
        self, images: Float[Tensor, "images 3 height width"]
    ) -> Float[Tensor, "images positions dim"]:
        """Pictures in 0…1 to their grid."""
        images = self.standardize(images).contiguous(memory_format=torch.channels_last)
        return positions_last(self.stages(images))


def stage(before: int, after: int, stride: int, kernel: int, pool: bool) -> nn.Sequential:
    """Convolution, batch norm, ReLU; shrunk by the convolution or by max-pooling."""
    step = 1 if pool else stride
    # The batch norm has the bias.
    convolution = nn.Conv2d(before, after, kernel, step, padding=kernel // 2, bias=False)
    layers: list[nn.Module] = [convolution, nn.BatchNorm2d(after), nn.ReLU(inplace=True)]
    if pool and stride > 1:
        layers.append(nn.MaxPool2d(stride, ceil_mode=True))
    return nn.Sequential(*layers)
