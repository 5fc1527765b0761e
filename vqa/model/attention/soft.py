"""Soft spatial attention with glimpses."""

from __future__ import annotations

from jaxtyping import Float, Int
from torch import Tensor, nn
from typing_extensions import override

from vqa.model.attention import Soft
from vqa.model.attention.glimpses import GlimpseAttention
from vqa.model.attention.sums import weighted_sums
from vqa.model.layers import BatchNorm1d
from vqa.model.types import Attended, EncodedText


class SoftAttention(GlimpseAttention):
    """For each glimpse α = softmax of the scores over the positions p, and the vector Σₚ αₚ vₚ."""

    def __init__(self, image_dim: int, question_dim: int, config: Soft) -> None:
        super().__init__(image_dim, question_dim, config)
        self.normalize = BatchNorm1d(self.dim) if config.batch_norm else nn.Identity()

    @override
    def forward(
        self,
        grid: Float[Tensor, "images positions channels"],
        question: EncodedText,
        image_of_question: Int[Tensor, " batch"],
    ) -> Attended:
        """Weigh each question's grid."""
        weights = self.scores(grid, question.vector, image_of_question).softmax(dim=2)
        seen = weighted_sums(weights, grid, image_of_question)
        return Attended(self.normalize(seen.flatten(1)), weights)
