"""Stacked attention: several looks, each with a refined query."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from typing_extensions import override

from vqa.model.attention.sums import weighted_sums
from vqa.model.dropout import Dropout
from vqa.model.layers import projection
from vqa.model.parts import Attention
from vqa.model.types import Attended, EncodedText


class Hop(nn.Module):
    """One look: α = softmax(w · tanh(Wᵥ v + W_u u + b)), u' = u + Σₚ αₚ vₚ."""

    def __init__(self, dim: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.project_grid = nn.Linear(dim, hidden, bias=False)
        self.project_query = nn.Linear(dim, hidden)
        self.score = nn.Sequential(Dropout(dropout), nn.Linear(hidden, 1, bias=False))

    def forward(
        self,
        grid: Float[Tensor, "images positions dim"],
        query: Float[Tensor, "batch dim"],
        image_of_question: Int[Tensor, " batch"],
    ) -> tuple[Float[Tensor, "batch dim"], Float[Tensor, "batch 1 positions"]]:
        """The refined query, and where it looked."""
        met = (
            self.project_grid(grid).index_select(0, image_of_question)
            + self.project_query(query)[:, None]
        )
        weights = torch.softmax(self.score(met.tanh()).float(), dim=1).transpose(1, 2)
        seen = weighted_sums(weights, grid, image_of_question)[:, 0]
        return query + seen, weights


class StackedAttention(Attention):
    """Hops over one projected grid, tanh(W v + b); the last query is the vector."""

    def __init__(
        self, image_dim: int, question_dim: int, hops: int, dim: int, hidden: int, dropout: float
    ) -> None:
        super().__init__()
        self.dim = dim
        self.project_image = projection(image_dim, dim, "tanh")
        same = question_dim == dim
        self.project_question = nn.Identity() if same else nn.Linear(question_dim, dim)
        self.hops = nn.ModuleList(Hop(dim, hidden, dropout) for _ in range(hops))

    @override
    def forward(
        self,
        grid: Float[Tensor, "images positions channels"],
        question: EncodedText,
        image_of_question: Int[Tensor, " batch"],
    ) -> Attended:
        """Look `hops` times."""
        grid = self.project_image(grid)
        query = self.project_question(question.vector)
        looks = []
        for hop in self.hops:
            query, weights = hop(grid, query, image_of_question)
            looks.append(weights)
        return Attended(query, torch.cat(looks, dim=1))
