"""Fusions: how an image vector and a question vector become one.

In the docstrings v is the image vector and its width, q the question vector and its width; "Parameters" is how
many numbers a fusion learns, in terms of both widths and its own fields.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BeforeValidator, Field

from vqa.model.brick import Activation, Brick, Dropout, Width, Widths, from_name
from vqa.model.fusion.bilinear import BLOCK, MCB, MFB, MFH, MLB, MUTAN, Bilinear, Tucker

if TYPE_CHECKING:
    from vqa.model.parts import Fusion


class Concat(Brick):
    """Both vectors side by side, then fully connected layers.

    Paper: Zhou et al. 2015, Simple baseline for visual question answering.
    Formula: z = f(W [v; q] + b), once for each layer.
    Parameters: sum((i + 1) * o for i, o in pairwise((v + q, *hidden))).
    Default sizes: hidden [256].

    Attributes:
        hidden: widths of the layers; none leaves the plain concatenation.
        activation: after each layer.
        dropout: before each layer; on the plain concatenation where there is none.
    """

    name: Literal["concat"] = "concat"
    hidden: Widths = (256,)
    activation: Activation = "relu"
    dropout: Dropout = 0.0

    def build(self, image_dim: int, question_dim: int) -> Fusion:
        """The module for vectors of these sizes."""
        from vqa.model.fusion.concat import ConcatFusion

        sizes = (image_dim + question_dim, *self.hidden)
        return ConcatFusion(sizes, self.activation, self.dropout)


class ConcatMLP(Concat):
    """Both vectors side by side, then a perceptron of several layers: concat, with the paper's sizes.

    Paper: Ben-younes et al. 2019, BLOCK: bilinear superdiagonal fusion (the baseline of its comparison).
    Formula: z = f(W₂ f(W₁ [v; q] + b₁) + b₂).
    Parameters: sum((i + 1) * o for i, o in pairwise((v + q, *hidden))).
    Default sizes: hidden [500, 500].

    Attributes:
        hidden: widths of the layers.
        activation: after each layer.
        dropout: before each layer.
    """

    name: Literal["concat_mlp"] = "concat_mlp"  # type: ignore[assignment]
    hidden: Annotated[Widths, Field(min_length=1)] = (500, 500)


class Multiply(Brick):
    """Both vectors projected to one width, then multiplied value by value.

    Paper: Antol et al. 2015, VQA: visual question answering ("deeper LSTM Q + norm I").
    Formula: z = f(A v + a) ⊙ f(B q + b).
    Parameters: (v + q + 2) * dim.
    Default sizes: dim 256.

    Attributes:
        dim: width of the product.
        activation: of both projections; the paper's is `tanh`.
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
    """Both vectors projected to one width, then added: a baseline of no paper.

    Formula: z = f(A v + a) + f(B q + b).
    Parameters: (v + q + 2) * dim.
    Default sizes: dim 256.

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


class GatedTanh(Brick):
    """Both vectors through a gated tanh layer, then multiplied value by value.

    Paper: Teney et al. 2018, Tips and tricks for visual question answering; Anderson et al. 2018 (BUTD).
    Formula: z = g(v) ⊙ g(q) with g(x) = tanh(A x + a) ⊙ σ(B x + b), of each vector its own.
    Parameters: 2 * (v + q + 2) * dim.
    Default sizes: dim 512.

    Attributes:
        dim: width of both layers.
        dropout: before both layers.
    """

    name: Literal["gated_tanh"] = "gated_tanh"
    dim: Width = 512
    dropout: Dropout = 0.0

    def build(self, image_dim: int, question_dim: int) -> Fusion:
        """The module for vectors of these sizes."""
        from vqa.model.fusion.gated_tanh import GatedTanhFusion

        return GatedTanhFusion(image_dim, question_dim, self.dim, self.dropout)


class ImageAlone(Brick):
    """The image vector as it is, of no paper: for an attention that has worked the question in (`relation`, `film`).

    Formula: z = v.
    Parameters: 0.
    """

    name: Literal["image"] = "image"

    def build(self, image_dim: int, question_dim: int) -> Fusion:
        """The module for vectors of these sizes."""
        from vqa.model.fusion.image import ImageFusion

        del question_dim
        return ImageFusion(image_dim)


AnyFusion = Annotated[
    Concat
    | ConcatMLP
    | Multiply
    | Sum
    | GatedTanh
    | ImageAlone
    | Bilinear
    | MLB
    | MCB
    | Tucker
    | MUTAN
    | MFB
    | MFH
    | BLOCK,
    Field(discriminator="name"),
    BeforeValidator(from_name),
]
