"""A bilinear map with slices of low rank."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from vqa.model.layers import in_float, projection, sum_pool
from vqa.model.parts import Fusion


class LowRankFusion(Fusion):
    """zₖ is the sum of `rank` products, each of a projection of v and one of q."""

    def __init__(
        self, image_dim: int, question_dim: int, dim: int, rank: int, dropout: float
    ) -> None:
        super().__init__()
        self.dim, self.rank = dim, rank
        self.project_image = projection(image_dim, dim * rank, "none", dropout)
        self.project_question = projection(question_dim, dim * rank, "none", dropout)

    @override
    def forward(
        self, image: Float[Tensor, "batch image_dim"], question: Float[Tensor, "batch question_dim"]
    ) -> Float[Tensor, "batch dim"]:
        """Join the vectors of each question."""
        products = in_float(self.project_image(image)) * in_float(self.project_question(question))
        return sum_pool(products, self.rank)
