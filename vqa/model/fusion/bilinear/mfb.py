"""Multimodal factorised bilinear and high-order pooling."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from typing_extensions import override

from vqa.model.dropout import Dropout
from vqa.model.layers import in_float, power_normalize, sum_pool
from vqa.model.parts import Fusion


class FactorizedFusion(Fusion):
    """Each order multiplies the last one's products by its own; each is pooled and normalised."""

    def __init__(
        self, image_dim: int, question_dim: int, dim: int, factor: int, orders: int, dropout: float
    ) -> None:
        super().__init__()
        self.dim, self.factor = orders * dim, factor
        self.project_image = _projections(image_dim, dim * factor, orders)
        self.project_question = _projections(question_dim, dim * factor, orders)
        self.dropout = Dropout(dropout)

    @override
    def forward(
        self, image: Float[Tensor, "batch image_dim"], question: Float[Tensor, "batch question_dim"]
    ) -> Float[Tensor, "batch dim"]:
        """Join the vectors of each question; products and their roots in float32 at least."""
        products, outputs = None, []
        for project_image, project_question in zip(
            self.project_image, self.project_question, strict=True
        ):
            met = in_float(project_image(image)) * in_float(project_question(question))
            met = self.dropout(met)
            products = met if products is None else products * met
            outputs.append(power_normalize(sum_pool(products, self.factor)))
        return torch.cat(outputs, dim=1)


def _projections(inputs: int, outputs: int, count: int) -> nn.ModuleList:
    return nn.ModuleList(nn.Linear(inputs, outputs) for _ in range(count))
