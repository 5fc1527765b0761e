"""Relation network: every pair of positions, read with the question."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import layer_norm
from typing_extensions import override

from vqa.errors import ModelError
from vqa.model.dropout import Dropout
from vqa.model.layers import fully_connected
from vqa.model.parts import Attention
from vqa.model.types import Attended, EncodedText

LARGEST_PAIRS = 2**22
"""The most values a layer makes of one question: 16 MiB in float32."""


class RelationNetwork(Attention):
    """Σᵢⱼ g([vᵢ; vⱼ; q]) over all positions i and j, g a chain of fully connected layers with ReLU.

    Of unordered pairs each is read once, its earlier position first: i ≤ j. The first layer is a sum of a part
    of each of its inputs, so nothing as wide as all three is made.

    A sum over hundreds of pairs is large; with `normalize` it is brought to mean 0 and variance 1.

    Raises:
        ModelError: a layer would make more than `LARGEST_PAIRS` values of one question.
    """

    i: Tensor
    j: Tensor

    def __init__(
        self,
        image_dim: int,
        grid: tuple[int, int],
        question_dim: int,
        hidden: Sequence[int],
        dropout: float,
        *,
        ordered: bool,
        normalize: bool,
    ) -> None:
        super().__init__()
        positions = grid[0] * grid[1]
        _check(grid, positions**2 if ordered else positions * (positions + 1) // 2, max(hidden))
        pairs = [(i, j) for i in range(positions) for j in range(0 if ordered else i, positions)]
        i, j = torch.tensor(pairs).unbind(1)
        self.register_buffer("i", i, persistent=False)
        self.register_buffer("j", j, persistent=False)
        self.dim = hidden[-1]
        self.first = nn.Linear(image_dim, hidden[0], bias=False)
        self.second = nn.Linear(image_dim, hidden[0], bias=False)
        self.question = nn.Linear(question_dim, hidden[0])
        layered = len(hidden) > 1
        self.layers = fully_connected(hidden, "relu", dropout) if layered else Dropout(dropout)
        self.normalize = normalize

    @override
    def forward(
        self,
        grid: Float[Tensor, "images positions channels"],
        question: EncodedText,
        image_of_question: Int[Tensor, " batch"],
    ) -> Attended:
        """Read every pair, a position with itself included; a picture's pairs are joined once."""
        first, second = self.first(grid), self.second(grid)
        pairs = first.index_select(1, self.i) + second.index_select(1, self.j)
        pairs = pairs.index_select(0, image_of_question)
        read = self.layers((pairs + self.question(question.vector)[:, None]).relu())
        exact = torch.promote_types(read.dtype, torch.float32)
        together = read.sum(dim=1, dtype=exact)
        return Attended(layer_norm(together, (self.dim,)) if self.normalize else together)


def _check(grid: tuple[int, int], pairs: int, width: int) -> None:
    values = pairs * width
    if values > LARGEST_PAIRS:
        raise ModelError(
            f"a grid of {grid[0]}×{grid[1]} has {pairs:,} pairs; at {width} values each a question"
            f" takes {values / 2**18:,.0f} MiB a layer, more than {LARGEST_PAIRS / 2**18:.0f}",
            where="model.attention",
            fix="use smaller pictures, a later stage or narrower layers",
        )
