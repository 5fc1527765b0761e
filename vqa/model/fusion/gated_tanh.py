"""Both vectors through a gated tanh layer, then multiplied."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn
from typing_extensions import override

from vqa.model.dropout import Dropout
from vqa.model.layers import projection
from vqa.model.parts import Fusion


class Gated(nn.Module):
    """tanh(A x + a) ⊙ σ(B x + b)."""

    def __init__(self, inputs: int, outputs: int, dropout: float) -> None:
        super().__init__()
        self.dropout = Dropout(dropout)
        self.value = projection(inputs, outputs, "tanh")
        self.gate = nn.Linear(inputs, outputs)

    def forward(self, x: Float[Tensor, "batch inputs"]) -> Float[Tensor, "batch outputs"]:
        """One vector at a time."""
        x = self.dropout(x)
        gated: Tensor = self.value(x) * self.gate(x).sigmoid()
        return gated


class GatedTanhFusion(Fusion):
    """z = g(v) ⊙ g(q), each with a gated layer of its own."""

    def __init__(self, image_dim: int, question_dim: int, dim: int, dropout: float) -> None:
        super().__init__()
        self.dim = dim
        self.image = Gated(image_dim, dim, dropout)
        self.question = Gated(question_dim, dim, dropout)

    @override
    def forward(
        self, image: Float[Tensor, "batch image_dim"], question: Float[Tensor, "batch question_dim"]
    ) -> Float[Tensor, "batch dim"]:
        """Join the vectors of each question."""
        fused: Tensor = self.image(image) * self.question(question)
        return fused
