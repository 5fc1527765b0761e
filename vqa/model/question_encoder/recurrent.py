"""Recurrent encoders over packed sequences.

No step is spent on padding, so padding cannot change a result. The parameters are torch's own layers', whichever
implementation computes with them.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence
from typing_extensions import override

from vqa.model.dropout import dropout
from vqa.model.layers import in_float
from vqa.model.parts import QuestionEncoder
from vqa.model.question_encoder import Recurrent
from vqa.model.question_encoder.embedding import word_embedding
from vqa.model.question_encoder.packed import run_packed
from vqa.model.types import EncodedText

CELLS: dict[str, Callable[..., nn.RNNBase]] = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}
FUNCTIONS: dict[type[nn.RNNBase], Callable[..., Any]] = {
    nn.RNN: torch.rnn_tanh,
    nn.GRU: torch.gru,
    nn.LSTM: torch.lstm,
}


class LayerRun(NamedTuple):
    """One layer's pass over a batch: what went in, every state, and the last state of each text."""

    inputs: PackedSequence
    states: PackedSequence
    final: Float[Tensor, "batch dim"]


class RecurrentEncoder(QuestionEncoder):
    """Word vectors, then recurrent layers; the last one's final states, or all of them pooled, are the vector."""

    def __init__(
        self,
        config: Recurrent,
        words: int,
        vocabulary: Sequence[str] | None,
        *,
        pretrained: bool = True,
    ) -> None:
        super().__init__()
        state = config.dim * (2 if config.bidirectional else 1)
        self.dim, self._state = state * config.glimpses, state
        self.dropout, self.embedding_dropout = config.dropout, config.embedding_dropout
        self.implementation = config.implementation
        self.embedding = word_embedding(config, words, vocabulary, pretrained=pretrained)
        widths = (config.embedding_dim, *[state] * (config.layers - 1))
        self.layers = nn.ModuleList(
            CELLS[config.name](width, config.dim, bidirectional=config.bidirectional)
            for width in widths
        )
        if config.initial_forget_bias is not None:
            for layer in self.layers:
                _set_forget_bias(layer, config.initial_forget_bias)
        pooled = config.pooling == "attention"
        self.pool = WordAttention(state, config.glimpses, config.glimpse_hidden) if pooled else None

    @property
    @override
    def word_dim(self) -> int:
        """The width of a state: the vector may be several means of them side by side."""
        return self._state

    @override
    def forward(self, words: PackedSequence) -> EncodedText:
        """Packed ids to vectors in the order of the batch."""
        runs = self.run(words)
        text = EncodedText(runs[-1].final, inputs=runs[0].inputs, states=runs[-1].states)
        vector = text.vector if self.pool is None else self.pool(text)
        text = text._replace(vector=dropout(vector, self.dropout, self.training))
        if not self.words_are_read:
            return text
        read = dropout(runs[-1].states.data, self.dropout, self.training)
        return text._replace(states=_with_data(runs[-1].states, read))

    def run(self, words: PackedSequence) -> list[LayerRun]:
        """Every layer's pass, the first layer first."""
        embedded = dropout(self.embedding(words.data), self.embedding_dropout, self.training)
        runs: list[LayerRun] = []
        for layer in self.layers:
            inputs = _with_data(words, embedded)
            assert isinstance(layer, nn.RNNBase)
            states, final = self._run_layer(layer, inputs)
            runs.append(LayerRun(inputs, states, final))
            embedded = dropout(states.data, self.dropout, self.training)
        return runs

    def _run_layer(
        self, layer: nn.RNNBase, inputs: PackedSequence
    ) -> tuple[PackedSequence, Float[Tensor, "batch dim"]]:
        """States and final states; cuDNN does it best on a GPU, `run_packed` on a CPU."""
        own = self.implementation == "packed"
        if own or (self.implementation == "auto" and inputs.data.device.type == "cpu"):
            return run_packed(layer, inputs)
        return run_torch(layer, inputs)


def run_torch(
    layer: nn.RNNBase, inputs: PackedSequence
) -> tuple[PackedSequence, Float[Tensor, "batch dim"]]:
    """What `layer(inputs)` gives, by torch's own kernels: states, and final states in the batch's order.

    Under autocast in autocast's type. torch itself takes float16 for cuDNN there, whatever that type is, and without
    a scaled loss most gradients of word vectors are too small for it.
    """
    kind = inputs.data.device.type
    if not (torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind)):
        states, last = layer(inputs)
        hidden = last[0] if isinstance(last, tuple) else last  # [directions, batch, dim]
        return states, hidden.transpose(0, 1).flatten(1)
    dtype, lstm = torch.get_autocast_dtype(kind), isinstance(layer, nn.LSTM)
    with torch.autocast(kind, enabled=False):
        data, weights = inputs.data.to(dtype), [weight.to(dtype) for weight in layer.parameters()]
        shape = (2 if layer.bidirectional else 1, int(inputs.batch_sizes[0]), layer.hidden_size)
        zero = data.new_zeros(shape)
        with (
            warnings.catch_warnings()
        ):  # cuDNN would have the weights in one piece; these are made for the step
            warnings.filterwarnings("ignore", message="RNN module weights are not part of single")
            output, hidden, *_ = FUNCTIONS[type(layer)](
                data, inputs.batch_sizes, (zero, zero) if lstm else zero, weights,
                True, 1, 0.0, layer.training, layer.bidirectional,
            )  # fmt: skip
    if inputs.unsorted_indices is not None:
        hidden = hidden.index_select(1, inputs.unsorted_indices)
    return _with_data(inputs, output), hidden.transpose(0, 1).flatten(1)


class WordAttention(nn.Module):
    """For each glimpse α = softmax(w · tanh(W h)) over a text's states h, and their mean Σ α h."""

    def __init__(self, dim: int, glimpses: int, hidden: int) -> None:
        super().__init__()
        self.project = nn.Linear(dim, hidden, bias=False)
        self.score = nn.Linear(hidden, glimpses, bias=False)

    def forward(self, text: EncodedText) -> Float[Tensor, "texts glimpses_dim"]:
        """The means side by side."""
        states, present = text.words()
        scores = in_float(self.score(self.project(states).tanh()))  # [texts, words, glimpses]
        weights = scores.masked_fill(~present[:, :, None], -torch.inf).softmax(dim=1)
        return torch.bmm(weights.transpose(1, 2).to(states.dtype), states).flatten(1)


def _with_data(packed: PackedSequence, data: Tensor) -> PackedSequence:
    """Other values in the same packing."""
    return PackedSequence(data, packed.batch_sizes, packed.sorted_indices, packed.unsorted_indices)


def _set_forget_bias(layer: nn.Module, value: float) -> None:
    """torch adds two biases to each gate: the forget gate's sum becomes `value`."""
    for name, parameter in layer.named_parameters():
        if name.startswith("bias"):
            gate = parameter.data.view(4, -1)[1]  # input, forget, cell, output
            gate.fill_(value if name.startswith("bias_ih") else 0.0)
