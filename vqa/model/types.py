"""The tensors that pass between bricks."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence


class EncodedText(NamedTuple):
    """What a question encoder makes of a batch of texts; in a batch where questions share a text, `vector` has
    one row a question, `inputs` and `states` one a text.

    Attributes:
        vector: one vector a text.
        inputs: the embedded words, packed (their gradients show how far back learning reaches).
        states: the last layer's state at every word, packed like `inputs`.
        text_of_question: for every question the place of its text in `inputs` and `states`; None
            where each question has its own.
    """

    vector: Float[Tensor, "batch dim"]
    inputs: PackedSequence | None = None
    states: PackedSequence | None = None
    text_of_question: Int[Tensor, " batch"] | None = None

    def words(self) -> tuple[Float[Tensor, "batch words dim"], Bool[Tensor, "batch words"]]:
        """Every question's states, padded, and which of them are there.

        A question without states is one word: its vector.
        """
        if self.states is None:
            here = torch.ones((len(self.vector), 1), dtype=torch.bool, device=self.vector.device)
            return self.vector[:, None], here
        # Longest first as they are packed: to unpack them in the batch's order would wait for the device.
        longest_first = PackedSequence(self.states.data, self.states.batch_sizes)
        states, lengths = pad_packed_sequence(longest_first, batch_first=True)
        steps = torch.arange(states.shape[1], device=states.device)
        present = steps < lengths.to(states.device, non_blocking=True)[:, None]
        for rows in (self.states.unsorted_indices, self.text_of_question):
            if rows is not None:
                states, present = states.index_select(0, rows), present.index_select(0, rows)
        return states, present


class Attended(NamedTuple):
    """What an attention makes of the grids of a batch of questions.

    Attributes:
        vector: one image vector a question.
        weights: the share of each position in it, None where there is no attention to show.
        question: a question vector to be fused in place of the encoder's, where the attention reads
            the words too.
        policy: log-probabilities of the positions, where `weights` were drawn from them and learn from the
            loss's value instead of its gradient.
    """

    vector: Float[Tensor, "batch dim"]
    weights: Float[Tensor, "batch glimpses positions"] | None = None
    question: Float[Tensor, "batch question_dim"] | None = None
    policy: Float[Tensor, "batch glimpses positions"] | None = None


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
        attended: what the attention made of the grids.
        text: the encoded questions, for diagnostics.
    """

    scores: Tensor
    attended: Attended
    text: EncodedText

    @property
    def attention(self) -> Float[Tensor, "batch glimpses positions"] | None:
        """The weights of every glimpse, None without attention."""
        return self.attended.weights


class Loss(NamedTuple):
    """What a batch costs.

    Attributes:
        answers: the head's loss, in the mean over the questions.
        total: what is to be made small: the same, and what the attention adds.
    """

    answers: Float[Tensor, ""]
    total: Float[Tensor, ""]
