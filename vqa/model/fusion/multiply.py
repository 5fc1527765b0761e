"""Both vectors projected to one width, then multiplied."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from vqa.model.brick import Activation
from vqa.model.layers import projection
from vqa.model.parts import Fusion


class MultiplyFusion(Fusion):
    """z = f(Wᵥ v + bᵥ) ⊙ f(W_q q + b_q)."""

    def __init__(
        self, image_dim: int, question_dim: int, dim: int, activation: Activation, dropout: float
    ) -> None:
        super().__init__()
        self.dim = dim
        self.project_image = projection(image_dim, dim, activation, dropout)
        self.project_question = projection(question_dim, dim, activation, dropout)

    @override
    def forward(
        self, image: Float[Tensor, "batch image_dim"], question: Float[Tensor, "batch question_dim"]
    ) -> Float[Tensor, "batch dim"]:
        """Join the vectors of each question."""
        fused: Tensor = self.project_image(image) * self.project_question(question)
        return fused
