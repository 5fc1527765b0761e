"""A bilinear map in Tucker's form, with a full core."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn
from typing_extensions import override

from vqa.model.dropout import Dropout
from vqa.model.fusion.bilinear import Tucker
from vqa.model.layers import projection
from vqa.model.parts import Fusion


class TuckerFusion(Fusion):
    """zₖ = Σᵢⱼ T₍ᵢⱼₖ₎ ṽᵢ q̃ⱼ."""

    def __init__(self, image_dim: int, question_dim: int, config: Tucker) -> None:
        super().__init__()
        self.dim = config.dim
        rest = (config.activation, config.dropout)
        self.project_image = projection(image_dim, config.image_dim, *rest)
        self.project_question = projection(question_dim, config.question_dim, *rest)
        self.dropout = Dropout(config.dropout)
        # The core as a matrix, [question_dim · dim, image_dim]: one product contracts the image's side.
        self.core = nn.Linear(config.image_dim, config.question_dim * config.dim, bias=False)

    @override
    def forward(
        self, image: Float[Tensor, "batch image_dim"], question: Float[Tensor, "batch question_dim"]
    ) -> Float[Tensor, "batch dim"]:
        """Join the vectors of each question."""
        seen = self.dropout(self.project_image(image))
        asked = self.dropout(self.project_question(question))
        maps = self.core(seen).view(*asked.shape, self.dim)  # [batch, question_dim, dim]
        fused: Tensor = (asked[:, None].to(maps.dtype) @ maps)[:, 0]
        return fused
