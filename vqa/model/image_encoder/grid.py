"""What all CNNs share before and after their stages."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
Statistics = tuple[Sequence[float], Sequence[float]]
"""Mean and standard deviation of each colour, of pictures in 0…1."""
IMAGENET: Statistics = (IMAGENET_MEAN, IMAGENET_STD)


class Standardize(nn.Module):
    """(x − mean) / std, channel by channel."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1))

    def forward(
        self, images: Float[Tensor, "images 3 height width"]
    ) -> Float[Tensor, "images 3 height width"]:
        """Pictures in 0…1 to about zero mean and unit variance."""
        return (images - self.mean) / self.std


def positions_last(
    maps: Float[Tensor, "images channels height width"],
) -> Float[Tensor, "images positions channels"]:
    """Feature maps to a grid, row by row; no copy where the memory is channels-last."""
    return maps.flatten(2).transpose(1, 2)


def join_scales(
    scales: Sequence[Float[Tensor, "images _ _ _"]],
) -> Float[Tensor, "images channels height width"]:
    """Feature maps of several sizes as one: the others are resized to the first, channels side by side.

    A larger one is averaged over the area of each position, a smaller one interpolated.
    """
    size = (scales[0].shape[2], scales[0].shape[3])
    return torch.cat([scales[0], *(_resized(maps, size) for maps in scales[1:])], dim=1)


def _resized(maps: Tensor, size: tuple[int, int]) -> Tensor:
    if maps.shape[2] >= size[0] and maps.shape[3] >= size[1]:
        return functional.adaptive_avg_pool2d(maps, size)
    return functional.interpolate(maps, size, mode="bilinear", align_corners=False)
