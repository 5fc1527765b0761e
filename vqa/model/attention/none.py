"""The grid as one vector, without regard to the question."""

from __future__ import annotations

from jaxtyping import Float, Int
from torch import Tensor
from typing_extensions import override

from vqa.errors import ModelError
from vqa.model.parts import Attention
from vqa.model.types import Attended, EncodedText

LARGEST_FLAT_GRID = 262_144


class GridMean(Attention):
    """The mean over the positions."""

    def __init__(self, image_dim: int) -> None:
        super().__init__()
        self.dim = image_dim

    @override
    def forward(
        self,
        grid: Float[Tensor, "images positions channels"],
        question: EncodedText,
        image_of_question: Int[Tensor, " batch"],
    ) -> Attended:
        """Pool once an image, then hand the vector to each of its questions. One position is its own mean."""
        pooled = grid.flatten(1) if grid.shape[1] == 1 else grid.mean(dim=1)
        return Attended(pooled.index_select(0, image_of_question))


class FlattenedGrid(Attention):
    """All positions side by side.

    Raises:
        ModelError: the vector would be longer than `LARGEST_FLAT_GRID`.
    """

    def __init__(self, image_dim: int, grid: tuple[int, int]) -> None:
        super().__init__()
        self.dim = grid[0] * grid[1] * image_dim
        if self.dim > LARGEST_FLAT_GRID:
            raise ModelError(
                f"a flattened grid of {grid[0]}×{grid[1]}×{image_dim} has {self.dim:,} values,"
                f" more than {LARGEST_FLAT_GRID:,}",
                where="model.attention.pool",
                fix="pool by mean, use attention, or choose smaller pictures or a later stage",
            )

    @override
    def forward(
        self,
        grid: Float[Tensor, "images positions channels"],
        question: EncodedText,
        image_of_question: Int[Tensor, " batch"],
    ) -> Attended:
        """Row by row, channels innermost."""
        return Attended(grid.flatten(1).index_select(0, image_of_question))
