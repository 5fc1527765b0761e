"""Small layers that several bricks share."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import nn

from vqa.model.brick import Activation

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
    return nn.Sequential(
        nn.Dropout(dropout), nn.Linear(inputs, outputs), activation_layer(activation)
    )


def fully_connected(
    sizes: Sequence[int], activation: Activation, dropout: float = 0.0
) -> nn.Sequential:
    """A chain of projections through `sizes`; of one size it is the identity."""
    return nn.Sequential(*(projection(i, o, activation, dropout) for i, o in pairwise(sizes)))
