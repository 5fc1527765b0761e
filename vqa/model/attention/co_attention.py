"""Question-guided co-attention over the grid and over the words."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from typing_extensions import override

from vqa.model.attention.sums import weighted_sums
from vqa.model.dropout import Dropout
from vqa.model.layers import in_float
from vqa.model.parts import Attention
from vqa.model.types import Attended, EncodedText

# As in the paper no projection has a bias. So a padded word, which is zero, adds nothing to what it meets.


class ParallelCoAttention(Attention):
    """C = tanh(Q W V'), Hᵥ = tanh(V Wᵥ + C' Q W_q), H_q = tanh(Q W_q + C V Wᵥ); a = softmax(H w) for each.

    V is the grid, a row a position; Q the question, a row a word.
    """

    def __init__(self, image_dim: int, question_dim: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.dim = image_dim
        self.affinity = nn.Linear(image_dim, question_dim, bias=False)
        self.project_image = nn.Linear(image_dim, hidden, bias=False)
        self.project_question = nn.Linear(question_dim, hidden, bias=False)
        self.score_image = nn.Linear(hidden, 1, bias=False)
        self.score_question = nn.Linear(hidden, 1, bias=False)
        self.dropout = Dropout(dropout)

    @override
    def forward(
        self,
        grid: Float[Tensor, "images positions channels"],
        question: EncodedText,
        image_of_question: Int[Tensor, " batch"],
    ) -> Attended:
        """Compare every word with every position."""
        words, present = question.words()
        offered = self.affinity(grid).index_select(0, image_of_question)
        affinity = torch.tanh(words.to(offered.dtype) @ offered.transpose(1, 2))
        image = self.project_image(grid).index_select(0, image_of_question)
        asked = self.project_question(words)
        met_image = torch.tanh(image + affinity.transpose(1, 2) @ asked)
        met_question = torch.tanh(asked + affinity @ image)
        looked = _shares(self.score_image(self.dropout(met_image)))
        read = _shares(self.score_question(self.dropout(met_question)), present)
        seen = weighted_sums(looked[:, None], grid, image_of_question)[:, 0]
        return Attended(seen, looked[:, None], _weighted(read, words))


class Guided(nn.Module):
    """a = softmax(w · tanh(X Wₓ + W_g g)) over the rows of X, given g; then Σ a x."""

    def __init__(self, rows_dim: int, guide_dim: int | None, hidden: int, dropout: float) -> None:
        super().__init__()
        self.project = nn.Linear(rows_dim, hidden, bias=False)
        self.guide = None if guide_dim is None else nn.Linear(guide_dim, hidden, bias=False)
        self.score = nn.Sequential(Dropout(dropout), nn.Linear(hidden, 1, bias=False))

    def forward(
        self,
        projected: Float[Tensor, "batch rows hidden"],
        guide: Float[Tensor, "batch guide_dim"] | None,
        present: Bool[Tensor, "batch rows"] | None = None,
    ) -> Float[Tensor, "batch rows"]:
        """The share of each row, from the rows as `project` gives them."""
        if self.guide is not None:
            projected = projected + self.guide(guide)[:, None]
        return _shares(self.score(projected.tanh()), present)


class AlternatingCoAttention(Attention):
    """Sum up the question; look at the grid in the light of that; read the question in the light of what was seen."""

    def __init__(self, image_dim: int, question_dim: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.dim = image_dim
        self.summary = Guided(question_dim, None, hidden, dropout)
        self.look = Guided(image_dim, question_dim, hidden, dropout)
        self.reading = Guided(question_dim, image_dim, hidden, dropout)

    @override
    def forward(
        self,
        grid: Float[Tensor, "images positions channels"],
        question: EncodedText,
        image_of_question: Int[Tensor, " batch"],
    ) -> Attended:
        """Three steps; the grid is projected once an image."""
        words, present = question.words()
        summary = _weighted(self.summary(self.summary.project(words), None, present), words)
        projected = self.look.project(grid).index_select(0, image_of_question)
        looked = self.look(projected, summary)
        seen = weighted_sums(looked[:, None], grid, image_of_question)[:, 0]
        read = self.reading(self.reading.project(words), seen, present)
        return Attended(seen, looked[:, None], _weighted(read, words))


def _shares(
    scores: Float[Tensor, "batch rows 1"], present: Bool[Tensor, "batch rows"] | None = None
) -> Float[Tensor, "batch rows"]:
    """Softmax over the rows that are there, in float32 at least."""
    scores = in_float(scores)[:, :, 0]
    if present is not None:
        scores = scores.masked_fill(~present, -torch.inf)
    return scores.softmax(dim=1)


def _weighted(
    shares: Float[Tensor, "batch rows"], rows: Float[Tensor, "batch rows dim"]
) -> Float[Tensor, "batch dim"]:
    """The weighted sum of the rows."""
    return torch.bmm(shares[:, None].to(rows.dtype), rows)[:, 0]
