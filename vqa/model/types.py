"""The tensors that pass between bricks."""

from __future__ import annotations

from typing import NamedTuple

from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence


class EncodedText(NamedTuple):
    """What a question encoder makes of a batch of texts; in a batch where questions share a text, `vector` has
    one row a question, `inputs` and `states` one a text.

    Attributes:
        vector: one vector a text.
        inputs: the embedded words, packed (their gradients show how far back learning reaches).
        states: the last layer's state at every word, packed like `inputs`.
    """

    vector: Float[Tensor, "batch dim"]
    inputs: PackedSequence | None = None
    states: PackedSequence | None = None


class Attended(NamedTuple):
    """One vector a question, and where it came from (None where there is no attention)."""

    vector: Float[Tensor, "batch dim"]
    weights: Float[Tensor, "batch glimpses positions"] | None = None


class Choices(NamedTuple):
    """The choices of a batch, flat: any number a question. The same text is encoded once.

    Attributes:
        words: the words of every distinct choice text of the batch, packed.
        text: for every choice its text's place among `words`.
        question: for every choice the position of its question in the batch, ascending.
        answer_id: for every choice its place in the answer vocabulary, −1 outside it.
    """

    words: PackedSequence
    text: Int[Tensor, " choices"]
    question: Int[Tensor, " choices"]
    answer_id: Int[Tensor, " choices"]


class Targets(NamedTuple):
    """What the loss compares with.

    Attributes:
        answer_id: the acceptable answers in the vocabulary, padded with −1.
        weight: the soft score of each, 0 at the padding.
        label: position of the right choice among the question's choices, −1 where there is none.
    """

    answer_id: Int[Tensor, "batch answers"]
    weight: Float[Tensor, "batch answers"]
    label: Int[Tensor, " batch"]


class Output(NamedTuple):
    """What the network returns for a batch.

    Attributes:
        scores: the head's raw scores: [batch, vocabulary] of a classifier, [choices] of a chooser.
        attention: the weights of every glimpse, None without attention.
        text: the encoded questions, for diagnostics.
    """

    scores: Tensor
    attention: Float[Tensor, "batch glimpses positions"] | None
    text: EncodedText
