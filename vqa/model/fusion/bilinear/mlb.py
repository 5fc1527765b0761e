"""Multimodal low-rank bilinear pooling."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from vqa.model.fusion.bilinear import MLB
from vqa.model.layers import projection
from vqa.model.parts import Fusion


class MLBFusion(Fusion):
    """z = P (f(A v + a) ⊙ f(B q + b)) + p."""

    def __init__(self, image_dim: int, question_dim: int, config: MLB) -> None:
        super().__init__()
        self.dim = config.dim
        rest = (config.rank, config.activation, config.dropout)
        self.project_image = projection(image_dim, *rest)
        self.project_question = projection(question_dim, *rest)
        self.project_product = projection(config.rank, config.dim, "none", config.dropout)

    @override
    def forward(
        self, image: Float[Tensor, "batch image_dim"], question: Float[Tensor, "batch question_dim"]
    ) -> Float[Tensor, "batch dim"]:
        """Join the vectors of each question."""
        product = self.project_image(image) * self.project_question(question)
        fused: Tensor = self.project_product(product)
        return fused
