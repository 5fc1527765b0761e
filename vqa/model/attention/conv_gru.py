"""A map over the grid that every word of the question changes: a convolutional gated recurrent unit."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from typing_extensions import override

from vqa.model.attention import ConvGRU
from vqa.model.dropout import Dropout
from vqa.model.layers import in_float
from vqa.model.parts import Attention
from vqa.model.types import Attended, EncodedText


class Cell(nn.Module):
    """One word's step: z, r = σ(x + U h), n = tanh(x + r ⊙ U h), h' = (1 − z) ⊙ n + z ⊙ h, each x and U its own.

    U is a convolution, so that a position hears of its neighbours.
    """

    def __init__(self, inputs: int, dim: int, kernel: int, grid: tuple[int, int]) -> None:
        super().__init__()
        self.grid = grid
        self.enter = nn.Linear(inputs, 3 * dim)
        self.convolve = nn.Conv2d(dim, 3 * dim, kernel, padding=kernel // 2)

    def forward(
        self,
        offered: Float[Tensor, "batch positions inputs"],
        maps: Float[Tensor, "batch positions dim"],
    ) -> Float[Tensor, "batch positions dim"]:
        """The maps after this word."""
        # Positions last: a view in channels-last memory, no copy.
        around = self.convolve(maps.transpose(1, 2).reshape(len(maps), -1, *self.grid))
        held = around.flatten(2).transpose(1, 2)
        new_z, new_r, new_n = self.enter(offered).chunk(3, dim=2)
        held_z, held_r, held_n = held.chunk(3, dim=2)
        keep, reset = torch.sigmoid(new_z + held_z), torch.sigmoid(new_r + held_r)
        candidate = torch.tanh(new_n + reset * held_n)
        return candidate + keep * (maps - candidate)


class ConvGRUAttention(Attention):
    """x of word t at position p: W ((A vₚ + a) ⊙ (B wₜ + b)); a cell goes through the words; each channel's maximum."""

    def __init__(
        self, image_dim: int, grid: tuple[int, int], question_dim: int, config: ConvGRU
    ) -> None:
        super().__init__()
        self.dim = config.dim
        self.project_image = nn.Linear(image_dim, config.hidden)
        self.project_word = nn.Linear(question_dim, config.hidden)
        self.dropout = Dropout(config.dropout)
        self.cell = Cell(config.hidden, config.dim, config.kernel, grid)

    @override
    def forward(
        self,
        grid: Float[Tensor, "images positions channels"],
        question: EncodedText,
        image_of_question: Int[Tensor, " batch"],
    ) -> Attended:
        """The grid is projected once an image; each word is a step."""
        return Attended(self.maps(grid, question, image_of_question).amax(dim=1))

    def maps(
        self,
        grid: Float[Tensor, "images positions channels"],
        question: EncodedText,
        image_of_question: Int[Tensor, " batch"],
    ) -> Float[Tensor, "batch positions dim"]:
        """What the words have left at each position."""
        words, present = question.words()
        seen = self.project_image(grid).index_select(0, image_of_question)
        read = self.project_word(words)
        maps = in_float(seen.new_zeros(*seen.shape[:2], self.dim))
        for word, here in zip(read.unbind(1), present.unbind(1), strict=True):
            changed = self.cell(self.dropout(seen * word[:, None]), maps)
            maps = torch.where(here[:, None, None], changed, maps)
        return maps
