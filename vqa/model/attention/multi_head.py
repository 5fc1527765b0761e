"""Multi-head attention of the question over the grid."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from vqa.model.layers import in_float
from vqa.model.parts import Attention
from vqa.model.types import Attended, EncodedText


class MultiHeadAttention(Attention):
    """For head h α = softmax(q_h · K_h / √d) over the positions; the vector is W [α₁ V₁; α₂ V₂; …] + b."""

    def __init__(
        self, image_dim: int, question_dim: int, heads: int, dim: int, dropout: float
    ) -> None:
        super().__init__()
        self.dim, self.heads, self.dropout = dim, heads, dropout
        self.query = nn.Linear(question_dim, dim)
        # A bias of the keys would move all scores alike, which the softmax undoes.
        self.key = nn.Linear(image_dim, dim, bias=False)
        self.value = nn.Linear(image_dim, dim)
        self.join = nn.Linear(dim, dim)

    @override
    def forward(
        self,
        grid: Float[Tensor, "images positions channels"],
        question: EncodedText,
        image_of_question: Int[Tensor, " batch"],
    ) -> Attended:
        """Keys and values are made once an image. Weights are given in evaluation alone: torch's kernel keeps
        its own to itself."""
        query = self._heads(self.query(question.vector)[:, None])  # [batch, heads, 1, dim / heads]
        key, value = (
            self._heads(project(grid)).index_select(0, image_of_question)
            for project in (self.key, self.value)
        )
        dropout = self.dropout if self.training else 0.0
        seen = functional.scaled_dot_product_attention(query, key, value, dropout_p=dropout)
        vector = self.join(seen.transpose(1, 2).flatten(1))
        return Attended(vector, None if self.training else _weights(query, key))

    def _heads(self, x: Tensor) -> Tensor:
        """[batch, positions, dim] to [batch, heads, positions, dim / heads]."""
        return x.view(*x.shape[:2], self.heads, -1).transpose(1, 2)


def _weights(
    query: Float[Tensor, "batch heads 1 width"], key: Float[Tensor, "batch heads positions width"]
) -> Float[Tensor, "batch heads positions"]:
    """The same weights again, to be looked at."""
    scores = in_float(query @ key.transpose(2, 3))[:, :, 0]
    return torch.softmax(scores / key.shape[3] ** 0.5, dim=2)
