"""Small layers that several bricks share."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from vqa.model.brick import Activation
from vqa.model.dropout import Dropout

ROOT_EPSILON = 1e-6

_ACTIVATIONS: dict[Activation, type[nn.Module]] = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "none": nn.Identity,
}


def activation_layer(name: Activation) -> nn.Module:
    """The activation of that name."""
    return _ACTIVATIONS[name]()


def projection(
    inputs: int, outputs: int, activation: Activation, dropout: float = 0.0
) -> nn.Sequential:
    """Dropout, a fully connected layer, an activation."""
    return nn.Sequential(Dropout(dropout), nn.Linear(inputs, outputs), activation_layer(activation))


def fully_connected(sizes: Sequence[int], activation: Activation, dropout: float) -> nn.Sequential:
    """A chain of projections through `sizes`; of one size it is the identity."""
    return nn.Sequential(*(projection(i, o, activation, dropout) for i, o in pairwise(sizes)))


def initialize_he(module: nn.Module) -> None:
    """Weights with variance 2 / inputs and biases of zero, for a layer before a ReLU.

    Torch's own layers begin with a variance of 1 / (3 inputs), so that a chain of them passes on little of what
    it is given. Source: He et al. 2015, Delving deep into rectifiers.
    """
    if isinstance(module, nn.Linear):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def freeze_what_is_unread(network: nn.Module, output: Tensor) -> None:
    """Take the parameters that do not bear on an output, such as later stages, out of the training."""
    trained = [p for p in network.parameters() if p.requires_grad]
    gradients = torch.autograd.grad(output.sum(), trained, allow_unused=True)
    for parameter, gradient in zip(trained, gradients, strict=True):
        parameter.requires_grad_(gradient is not None)


def in_float(x: Tensor) -> Tensor:
    """`x` in float32 at least: what half precision is too coarse for."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def sum_pool(x: Tensor, size: int) -> Tensor:
    """The sums of each `size` neighbours along the last dimension."""
    return x.reshape(*x.shape[:-1], -1, size).sum(dim=-1)


def power_normalize(x: Tensor) -> Tensor:
    """The signed square root of each value, then the last dimension to length one, in float32 at least.

    Both have an infinite slope at zero, where a dropped or rectified vector is. So x / √(|x| + ε) stands for
    sign(x) √|x|, and x / √(‖x‖² + ε) for x / ‖x‖: zero stays zero, with a finite gradient.
    """
    x = in_float(x)
    root = x * (x.abs() + ROOT_EPSILON).rsqrt()
    length = root.square().sum(dim=-1, keepdim=True)
    return root * (length + ROOT_EPSILON).rsqrt()


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
