"""Heads: how the fused vector becomes scores over answers or choices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BeforeValidator, Field

from vqa.model.brick import Activation, Brick, Dropout, Width, Widths, from_name
from vqa.model.question_encoder import AnyRecurrent

if TYPE_CHECKING:
    from vqa.model.parts import Head


class Classifier(Brick):
    """Scores over the answer vocabulary.

    Attributes:
        hidden: widths of fully connected layers before the last.
        activation: after each of them.
        dropout: before each layer, the last included.
        loss: `cross_entropy` (one answer wins) or `soft_bce` (each is right or wrong by itself).
    """

    name: Literal["classifier"] = "classifier"
    hidden: Widths = ()
    activation: Activation = "relu"
    dropout: Dropout = 0.0
    loss: Literal["cross_entropy", "soft_bce"] = "cross_entropy"

    def build(self, fused_dim: int, answers: int, choice_dim: int) -> Head:
        """The module for a fused vector of this size and this many answers."""
        from vqa.model.head.classifier import ClassifierHead

        del choice_dim
        sizes = (fused_dim, *self.hidden)
        return ClassifierHead(sizes, answers, self.activation, self.dropout, self.loss)


class Chooser(Brick):
    """Encodes each choice and scores it against the fused vector; any number of choices a question.

    Attributes:
        encoder: what encodes the choices: `shared` with the question, or a recurrent one.
        dim: width of the product.
        activation: of both projections.
        dropout: before both projections.
    """

    name: Literal["chooser"] = "chooser"
    encoder: Literal["shared"] | AnyRecurrent = "shared"
    dim: Width = 256
    activation: Activation = "tanh"
    dropout: Dropout = 0.0

    def build(self, fused_dim: int, answers: int, choice_dim: int) -> Head:
        """The module for fused and choice vectors of these sizes."""
        from vqa.model.head.chooser import ChooserHead

        del answers
        return ChooserHead(fused_dim, choice_dim, self.dim, self.activation, self.dropout)


AnyHead = Annotated[Classifier | Chooser, Field(discriminator="name"), BeforeValidator(from_name)]
