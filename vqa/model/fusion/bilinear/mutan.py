"""Tucker's form with a core of low rank."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn
from typing_extensions import override

from vqa.model.dropout import Dropout
from vqa.model.fusion.bilinear import MUTAN
from vqa.model.layers import in_float, projection, sum_pool
from vqa.model.parts import Fusion


class MUTANFusion(Fusion):
    """z = Σᵣ (Mᵣ ṽ) ⊙ (Nᵣ q̃)."""

    def __init__(self, image_dim: int, question_dim: int, config: MUTAN) -> None:
        super().__init__()
        self.dim, self.rank = config.dim, config.rank
        rest = (config.activation, config.dropout)
        self.project_image = projection(image_dim, config.image_dim, *rest)
        self.project_question = projection(question_dim, config.question_dim, *rest)
        self.dropout = Dropout(config.dropout)
        products = config.dim * config.rank
        self.image_core = nn.Linear(config.image_dim, products, bias=False)
        self.question_core = nn.Linear(config.question_dim, products, bias=False)

    @override
    def forward(
        self, image: Float[Tensor, "batch image_dim"], question: Float[Tensor, "batch question_dim"]
    ) -> Float[Tensor, "batch dim"]:
        """Join the vectors of each question."""
        seen = self.image_core(self.dropout(self.project_image(image)))
        asked = self.question_core(self.dropout(self.project_question(question)))
        return sum_pool(in_float(seen) * in_float(asked), self.rank)
