"""Fusions: how an image vector and a question vector become one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BeforeValidator, Field

from vqa.model.brick import Activation, Brick, Dropout, Width, from_name

if TYPE_CHECKING:
    from vqa.model.parts import Fusion


class Concat(Brick):
    """Both vectors side by side, then fully connected layers.

    Attributes:
        hidden: widths of the layers; none leaves the plain concatenation.
        activation: after each layer.
        dropout: before each layer.
    """

    name: Literal["concat"] = "concat"
    hidden: tuple[Width, ...] = (256,)
    activation: Activation = "relu"
    dropout: Dropout = 0.0

    def build(self, image_dim: int, question_dim: int) -> Fusion:
        """The module for vectors of these sizes."""
        from vqa.model.fusion.concat import ConcatFusion

        sizes = (image_dim + question_dim, *self.hidden)
        return ConcatFusion(sizes, self.activation, self.dropout)


class Multiply(Brick):
    """Both vectors projected to one width, then multiplied value by value.

    The fusion of "deeper LSTM Q + norm I" (Antol et al. 2015), with `tanh` as there.

    Attributes:
        dim: width of the product.
        activation: of both projections.
        dropout: before both projections.
    """

    name: Literal["multiply"] = "multiply"
    dim: Width = 256
    activation: Activation = "tanh"
    dropout: Dropout = 0.0

    def build(self, image_dim: int, question_dim: int) -> Fusion:
        """The module for vectors of these sizes."""
        from vqa.model.fusion.multiply import MultiplyFusion

        return MultiplyFusion(image_dim, question_dim, self.dim, self.activation, self.dropout)


class Sum(Brick):
    """Both vectors projected to one width, then added.

    Attributes:
        dim: width of the sum.
        activation: of both projections.
        dropout: before both projections.
    """

    name: Literal["sum"] = "sum"
    dim: Width = 256
    activation: Activation = "tanh"
    dropout: Dropout = 0.0

    def build(self, image_dim: int, question_dim: int) -> Fusion:
        """The module for vectors of these sizes."""
        from vqa.model.fusion.sum import SumFusion

        return SumFusion(image_dim, question_dim, self.dim, self.activation, self.dropout)


AnyFusion = Annotated[
    Concat | Multiply | Sum, Field(discriminator="name"), BeforeValidator(from_name)
]
