"""Concatenation and fully connected layers."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from vqa.model.brick import Activation
from vqa.model.dropout import Dropout
from vqa.model.layers import fully_connected
from vqa.model.parts import Fusion


class ConcatFusion(Fusion):
    """z = f(W [v; q] + b), once for each size after the first.

    The first size is that of both vectors together.
    """

    def __init__(self, sizes: Sequence[int], activation: Activation, dropout: float) -> None:
        super().__init__()
        self.dim = sizes[-1]
        layered = len(sizes) > 1
        self.layers = fully_connected(sizes, activation, dropout) if layered else Dropout(dropout)

    @override
    def forward(
        self, image: Float[Tensor, "batch image_dim"], question: Float[Tensor, "batch question_dim"]
    ) -> Float[Tensor, "batch dim"]:
        """Join the vectors of each question."""
        fused: Tensor = self.layers(torch.cat((image, question.to(image.dtype)), dim=1))
        return fused
