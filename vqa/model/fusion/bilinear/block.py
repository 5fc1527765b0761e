"""Block-superdiagonal Tucker fusion."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from typing_extensions import override

from vqa.model.dropout import Dropout
from vqa.model.fusion.bilinear import BLOCK
from vqa.model.layers import in_float, power_normalize, projection, sum_pool
from vqa.model.parts import Fusion


class BLOCKFusion(Fusion):
    """Chunk by chunk, z_c = Σᵣ (M₍cᵣ₎ ṽ_c) ⊙ (N₍cᵣ₎ q̃_c)."""

    def __init__(self, image_dim: int, question_dim: int, config: BLOCK) -> None:
        super().__init__()
        self.dim, self.chunks, self.rank = config.dim, config.chunks, config.rank
        self.normalize = config.normalize
        self.project_image = projection(image_dim, config.dim, "none")
        self.project_question = projection(question_dim, config.dim, "none")
        self.dropout = Dropout(config.dropout)
        self.image_core, self.question_core = self._core(), self._core()

    def _core(self) -> nn.Parameter:
        """One matrix a chunk, each value `rank` times: [chunks, size, size · rank]."""
        size = self.dim // self.chunks
        bound = size**-0.5
        values = torch.empty(self.chunks, size, size * self.rank)
        return nn.Parameter(values.uniform_(-bound, bound))

    @override
    def forward(
        self, image: Float[Tensor, "batch image_dim"], question: Float[Tensor, "batch question_dim"]
    ) -> Float[Tensor, "batch dim"]:
        """Join the vectors of each question; products and their roots in float32 at least."""
        seen = self._expand(self.project_image(image), self.image_core)
        asked = self._expand(self.project_question(question), self.question_core)
        fused = sum_pool(in_float(seen) * in_float(asked), self.rank)  # [batch, chunks, size]
        return (power_normalize(fused) if self.normalize else fused).flatten(1)

    def _expand(self, projected: Tensor, core: Tensor) -> Tensor:
        """[batch, dim] to [batch, chunks, size · rank]."""
        chunks = self.dropout(projected).view(len(projected), self.chunks, -1)
        return torch.einsum("bci,cij->bcj", chunks, core)
