"""Convolutions with a stride, computed so that torch's CPU library does them right."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

FEW = 16
"""With fewer channels than these (a register's floats), in float32 and channels-last memory, oneDNN writes the
gradient of such a convolution's weights past its own memory, and the process dies."""


class PointConvolution(nn.Conv2d):
    """A 1×1 convolution with a stride: the positions between are left out first. The same result."""

    @override
    def forward(
        self, input: Float[Tensor, "images inputs height width"]
    ) -> Float[Tensor, "images outputs rows columns"]:
        """Of the positions that it looks at."""
        down, across = self.stride
        taken = input[:, :, ::down, ::across].contiguous(memory_format=torch.channels_last)
        return functional.conv2d(taken, self.weight, self.bias)


class StridedConvolution(nn.Conv2d):
    """A convolution with a stride that is right on maps smaller than its stride, too.

    There some of a kernel's places see nothing but padding, and in bfloat16 oneDNN leaves what their gradients' memory
    held before: such maps are convolved in float32 on a CPU.
    """

    @override
    def forward(
        self, input: Float[Tensor, "images inputs height width"]
    ) -> Float[Tensor, "images outputs rows columns"]:
        """As torch's own wherever that is right."""
        kind = input.device.type
        small = min(input.shape[2:]) < max(self.stride)
        if not (small and kind == "cpu" and torch.is_autocast_enabled(kind)):
            return super().forward(input)
        with torch.autocast(kind, enabled=False):
            return super().forward(input.float())


def is_point(layer: nn.Module) -> bool:
    """Whether a layer is a plain 1×1 convolution with a stride."""
    return (
        type(layer) is nn.Conv2d
        and layer.kernel_size == (1, 1)
        and layer.stride != (1, 1)
        and layer.padding == (0, 0)
        and layer.groups == 1
    )


def replace_points(network: nn.Module) -> None:
    """Let the convolutions of a network that would not survive keep their weights and be `PointConvolution`s."""
    for parent in [*network.modules()]:
        for name, layer in [*parent.named_children()]:
            if is_point(layer) and isinstance(layer, nn.Conv2d) and layer.in_channels < FEW:
                setattr(parent, name, _as_point(layer))


def _as_point(layer: nn.Conv2d) -> PointConvolution:
    down, across = layer.stride
    with torch.device("meta"):
        point = PointConvolution(layer.in_channels, layer.out_channels, 1, (down, across))
    point.weight, point.bias = layer.weight, layer.bias
    return point.train(layer.training)
