"""Soft spatial attention with glimpses."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from typing_extensions import override

from vqa.model.brick import Activation
from vqa.model.layers import activation_layer
from vqa.model.parts import Attention
from vqa.model.types import Attended, EncodedText


class SoftAttention(Attention):
    """For glimpse g: s = w_g · f(Wᵥ vₚ + W_q q + b), α = softmax over p, the vector Σₚ αₚ vₚ."""

    def __init__(
        self,
        image_dim: int,
        question_dim: int,
        glimpses: int,
        hidden: int,
        activation: Activation,
        dropout: float,
    ) -> None:
        super().__init__()
        self.dim = glimpses * image_dim
        self.project_image = nn.Linear(image_dim, hidden, bias=False)
        self.project_question = nn.Linear(question_dim, hidden)
        self.meet = nn.Sequential(activation_layer(activation), nn.Dropout(dropout))
        # A bias would move all scores alike, which the softmax undoes.
        self.score = nn.Linear(hidden, glimpses, bias=False)

    @override
    def forward(
        self,
        grid: Float[Tensor, "images positions channels"],
        question: EncodedText,
        image_of_question: Int[Tensor, " batch"],
    ) -> Attended:
        """Weigh each question's grid; the grid is projected once an image."""
        projected = self.project_image(grid).index_select(
            0, image_of_question
        )  # [batch, positions, hidden]
        asked = self.project_question(question.vector)[:, None]  # [batch, 1, hidden]
        scores = self.score(self.meet(projected + asked))  # [batch, positions, glimpses]
        weights = torch.softmax(scores.float(), dim=1).transpose(1, 2)
        seen = torch.bmm(weights.to(grid.dtype), grid.index_select(0, image_of_question))
        return Attended(seen.flatten(1), weights)
