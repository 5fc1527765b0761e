"""Attentions: how a grid of vectors becomes one vector in the light of a question."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BeforeValidator, Field

from vqa.model.brick import Activation, Brick, Dropout, Width, from_name

if TYPE_CHECKING:
    from vqa.model.parts import Attention


class NoAttention(Brick):
    """The grid without regard to the question.

    Attributes:
        pool: `mean` over the positions, or `flatten`: all of them side by side.
    """

    name: Literal["none"] = "none"
    pool: Literal["mean", "flatten"] = "mean"

    def build(self, image_dim: int, grid: tuple[int, int], question_dim: int) -> Attention:
        """The module for a grid of this many vectors of this size."""
        from vqa.model.attention.none import FlattenedGrid, GridMean

        del question_dim
        if self.pool == "mean":
            return GridMean(image_dim)
        return FlattenedGrid(image_dim, grid)


class Soft(Brick):
    """Soft spatial attention: a weighted mean of the grid for each glimpse.

    Attributes:
        glimpses: independent sets of weights; their means stand side by side.
        hidden: width in which grid and question meet.
        meeting: they are added and then activated, or activated and then multiplied.
        activation: of the meeting.
        dropout: on what the scores are computed from.
        batch_norm: normalise the weighted means before they are fused.
    """

    name: Literal["soft"] = "soft"
    glimpses: int = Field(default=1, ge=1, le=64)
    hidden: Width = 256
    meeting: Literal["sum", "product"] = "sum"
    activation: Activation = "relu"
    dropout: Dropout = 0.0
    batch_norm: bool = False

    def build(self, image_dim: int, grid: tuple[int, int], question_dim: int) -> Attention:
        """The module for a grid of vectors of this size."""
        from vqa.model.attention.soft import SoftAttention

        del grid
        return SoftAttention(image_dim, question_dim, self)


class Stacked(Brick):
    """Stacked attention (Yang et al. 2016): each hop refines the query that the next one uses.

    Attributes:
        hops: how many times it looks.
        dim: width of the query; grid and question are brought to it.
        hidden: width in which grid and query meet.
        dropout: on what the scores are computed from.
    """

    name: Literal["stacked"] = "stacked"
    hops: int = Field(default=2, ge=1, le=16)
    dim: Width = 256
    hidden: Width = 256
    dropout: Dropout = 0.0

    def build(self, image_dim: int, grid: tuple[int, int], question_dim: int) -> Attention:
        """The module for a grid of vectors of this size."""
        from vqa.model.attention.stacked import StackedAttention

        del grid
        return StackedAttention(
            image_dim, question_dim, self.hops, self.dim, self.hidden, self.dropout
        )


AnyAttention = Annotated[
    NoAttention | Soft | Stacked, Field(discriminator="name"), BeforeValidator(from_name)
]
