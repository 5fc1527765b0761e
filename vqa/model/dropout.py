"""Dropout whose masks cost little on a CPU: a value is kept or dropped by 8 or 16 raw random bits.

torch draws a float a value there, one after the other, which on large grids takes longer than their products. The
bits come from torch's own generator: a seed, a saved random state and `torch.manual_seed` decide them as before.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.nn import functional
from typing_extensions import override

_WORD = 64


class Dropout(nn.Dropout):
    """`nn.Dropout` with `dropout`."""

    @override
    def forward(self, input: Tensor) -> Tensor:
        """Drop in training alone."""
        return dropout(input, self.p, self.training)

    def after(self, activation: nn.Module, x: Tensor) -> Tensor:
        """What is left of the activated `x`; where that is a ReLU, both go back in one pass without a saved mask."""
        if isinstance(activation, nn.ReLU) and _is_cheap(x, self.p, self.training):
            left: Tensor = _DropRelu.apply(x, *_kept(x.shape, self.p))
            return left
        return dropout(activation(x), self.p, self.training)


def dropout(x: Tensor, rate: float, training: bool) -> Tensor:
    """Each value zero with probability `rate`, else grown so that the mean stays; all as they are outside training.

    On a CPU the rate is rounded to a multiple of 2⁻¹⁶, and the growth is that of the rounded one; other devices
    use torch's own.
    """
    if not training or rate == 0.0:
        return x
    if not _is_cheap(x, rate, training):
        return functional.dropout(x, rate, training)
    dropped: Tensor = _Drop.apply(x, *_kept(x.shape, rate))
    return dropped


def _is_cheap(x: Tensor, rate: float, training: bool) -> bool:
    """Whether there is something to drop, and raw bits are the way."""
    return training and rate > 0.0 and x.device.type == "cpu"


def _kept(shape: torch.Size, rate: float) -> tuple[Tensor, float]:
    """One for a value that is kept, nought for one that is dropped; and by how much the kept ones grow."""
    bits, dtype = (8, torch.int8) if (rate * 256).is_integer() else (16, torch.int16)
    values = 1 << bits
    threshold = min(round(rate * values), values - 1)
    count = shape.numel()
    words = torch.empty(-(-count * bits // _WORD), dtype=torch.int64)
    words.random_(-(1 << 63), None)  # all 64 bits of each
    # Compared in place: a bool takes torch five times as long to multiply with as an int8.
    kept = words.view(dtype)[:count].ge_(threshold - values // 2)
    return kept.view(shape), values / (values - threshold)


class _Drop(Function):
    """x ⊙ kept · growth."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, kept: Tensor, growth: float) -> Tensor:
        ctx.save_for_backward(kept)
        ctx.growth = growth
        return kept.to(x.dtype).mul_(growth).mul_(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (kept,) = ctx.saved_tensors
        return kept.to(gradients[0].dtype).mul_(ctx.growth).mul_(gradients[0]), None, None


class _DropRelu(Function):
    """max(x, 0) ⊙ kept · growth: wherever that is positive the gradient passes, and nowhere else."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, kept: Tensor, growth: float) -> Tensor:
        out = kept.to(x.dtype).mul_(growth).mul_(x).relu_()
        ctx.save_for_backward(out)
        ctx.growth = growth
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (out,) = ctx.saved_tensors
        passed: Tensor = torch.ops.aten.threshold_backward(gradients[0], out, 0)
        return passed.mul_(ctx.growth), None, None
