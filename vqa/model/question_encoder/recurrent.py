"""Recurrent encoders over packed sequences.

No step is spent on padding, so padding cannot change a result.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import PackedSequence
from typing_extensions import override

from vqa.errors import ModelError
from vqa.model.parts import QuestionEncoder
from vqa.model.question_encoder import Recurrent
from vqa.model.question_encoder.vectors import read_vectors
from vqa.model.types import EncodedText

CELLS: dict[str, Callable[..., nn.RNNBase]] = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}


class LayerRun(NamedTuple):
    """One layer's pass over a batch: what went in, every state, and the last state of each text."""

    inputs: PackedSequence
    states: PackedSequence
    final: Float[Tensor, "batch dim"]


class RecurrentEncoder(QuestionEncoder):
    """Word vectors, then recurrent layers; the last one's final states are the vector."""

    def __init__(
        self,
        config: Recurrent,
        words: int,
        vocabulary: Sequence[str] | None,
        *,
        pretrained: bool = True,
    ) -> None:
        super().__init__()
        self.dim = config.dim * (2 if config.bidirectional else 1)
        self.dropout, self.embedding_dropout = config.dropout, config.embedding_dropout
        self.embedding = nn.Embedding(words, config.embedding_dim)
        if config.vectors is not None and pretrained:
            _fill(self.embedding, config, vocabulary)
        self.embedding.weight.requires_grad_(not config.freeze_vectors)
        widths = (config.embedding_dim, *[self.dim] * (config.layers - 1))
        self.layers = nn.ModuleList(
            CELLS[config.name](width, config.dim, bidirectional=config.bidirectional)
            for width in widths
        )
        if config.initial_forget_bias is not None:
            for layer in self.layers:
                _set_forget_bias(layer, config.initial_forget_bias)

    @override
    def forward(self, words: PackedSequence) -> EncodedText:
        """Packed ids to vectors in the order of the batch."""
        runs = self.run(words)
        vector = functional.dropout(runs[-1].final, self.dropout, self.training)
        return EncodedText(vector, inputs=runs[0].inputs, states=runs[-1].states)

    def run(self, words: PackedSequence) -> list[LayerRun]:
        """Every layer's pass, the first layer first."""
        embedded = functional.dropout(
            self.embedding(words.data), self.embedding_dropout, self.training
        )
        runs: list[LayerRun] = []
        for layer in self.layers:
            inputs = _with_data(words, embedded)
            states, last = layer(inputs)
            hidden = last[0] if isinstance(last, tuple) else last  # [directions, batch, dim]
            runs.append(LayerRun(inputs, states, hidden.transpose(0, 1).flatten(1)))
            embedded = functional.dropout(states.data, self.dropout, self.training)
        return runs


def _with_data(packed: PackedSequence, data: Tensor) -> PackedSequence:
    """Other values in the same packing."""
    return PackedSequence(data, packed.batch_sizes, packed.sorted_indices, packed.unsorted_indices)


def _set_forget_bias(layer: nn.Module, value: float) -> None:
    """torch adds two biases to each gate: the forget gate's sum becomes `value`."""
    for name, parameter in layer.named_parameters():
        if name.startswith("bias"):
            gate = parameter.data.view(4, -1)[1]  # input, forget, cell, output
            gate.fill_(value if name.startswith("bias_ih") else 0.0)


def _fill(embedding: nn.Embedding, config: Recurrent, vocabulary: Sequence[str] | None) -> None:
    """Put the file's vectors in place; words that it lacks keep their random ones."""
    assert config.vectors is not None
    if vocabulary is None or len(vocabulary) != embedding.num_embeddings:
        raise ModelError(
            "word vectors need the vocabulary's words, one for each id", where=str(config.vectors)
        )
    found = read_vectors(config.vectors, vocabulary, config.embedding_dim)
    with torch.no_grad():
        for place, word in enumerate(vocabulary):
            if word in found:
                embedding.weight[place] = torch.from_numpy(found[word])
