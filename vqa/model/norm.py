"""Batch normalisation that bears a batch of one."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override


class _BatchNorm(nn.modules.batchnorm._BatchNorm):
    """A single value a channel has no variance: torch refuses to train on it, as the last batch of an epoch may be.

    It is normalised by the running statistics, which it does not change.
    """

    @override
    def forward(self, input: Tensor) -> Tensor:
        """As torch's own wherever that can be."""
        if not self.training or input.numel() != input.shape[1]:
            return super().forward(input)
        return functional.batch_norm(
            input, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
        )


class BatchNorm1d(_BatchNorm, nn.BatchNorm1d):
    """Over [batch, channels]."""


class BatchNorm2d(_BatchNorm, nn.BatchNorm2d):
    """Over [batch, channels, height, width]."""
