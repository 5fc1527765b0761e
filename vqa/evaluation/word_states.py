"""What a recurrent question encoder holds after each word: its hidden units, and the gates that let them in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from vqa.data.batches import pack
from vqa.errors import ModelError
from vqa.model.question_encoder.recurrent import LayerRun, RecurrentEncoder

if TYPE_CHECKING:
    from vqa.export import VQAModel

GATES = {"lstm": ("input", "forget", None, "output"), "gru": ("reset", "update", None)}
"""In the order of torch's rows; the one without a name is what is let in, and no gate."""

Values = NDArray[np.float32]


@dataclass(frozen=True)
class WordStates:
    """One layer's pass over a question.

    Attributes:
        words: as the model read them; an unknown one is `[UNK]`.
        states: the hidden units after each word, −1 to 1; [words, units]. Of an encoder that reads both ways the
            second half of the units has read from the end.
        gates: how far each gate is open at each word, 0 to 1; each [words, units]. An `rnn` has none.
        layer, layers: which one, from 0, of how many.
        directions: 2 where the question is read from its end too.
    """

    words: list[str]
    states: Values
    gates: dict[str, Values] = field(default_factory=dict)
    layer: int = 0
    layers: int = 1
    directions: int = 1

    def ranked(self) -> list[int]:
        """The units, those first that vary most over the words (by standard deviation)."""
        order: list[int] = np.argsort(-self.states.std(axis=0), kind="stable").tolist()
        return order


@torch.no_grad()
def word_states(model: VQAModel, question: str, layer: int | None = None) -> WordStates | None:
    """Read a question and keep what a layer held after each word; None for an encoder that is not recurrent.

    Args:
        layer: from 0; the last one where None.

    Raises:
        ModelError: the encoder has no such layer.
    """
    encoder = model.network.question_encoder
    if not isinstance(encoder, RecurrentEncoder):
        return None
    layers = len(encoder.layers)
    place = layers - 1 if layer is None else layer
    if not 0 <= place < layers:
        raise ModelError(f"no layer {place}: there are {layers}, from 0", where="layer")
    device = next(encoder.parameters()).device
    packed = pack(model.tokenizer.encode([question]), np.zeros(1, dtype=np.int64), device)
    was_training = encoder.training
    encoder.eval()
    try:
        run = encoder.run(packed)[place]
    finally:
        encoder.train(was_training)
    recurrent = encoder.layers[place]
    assert isinstance(recurrent, nn.RNNBase)
    return WordStates(
        model.tokenizer.tokens(question),
        _array(run.states.data),
        _gates(recurrent, run),
        place,
        layers,
        2 if recurrent.bidirectional else 1,
    )


def _gates(layer: nn.RNNBase, run: LayerRun) -> dict[str, Values]:
    """The gates again, from what went in and the states before: one text, so its packing is its order."""
    names = GATES.get(layer.mode.lower(), ())
    suffixes = ("l0", "l0_reverse") if layer.bidirectional else ("l0",)
    states = run.states.data.chunk(len(suffixes), dim=1)
    opened = [
        _open(layer, suffix, run.inputs.data, _before(state, backwards=suffix != "l0"))
        for suffix, state in zip(suffixes, states, strict=True)
    ]
    return {
        name: _array(torch.cat([gates.chunk(len(names), dim=1)[row] for gates in opened], dim=1))
        for row, name in enumerate(names)
        if name is not None
    }


def _open(layer: nn.RNNBase, suffix: str, inputs: Tensor, before: Tensor) -> Tensor:
    """σ(W x + b + U h + c) of every row of a layer's weights."""
    weights = dict(layer.named_parameters())
    from_input = inputs @ weights[f"weight_ih_{suffix}"].T + weights[f"bias_ih_{suffix}"]
    from_state = before @ weights[f"weight_hh_{suffix}"].T + weights[f"bias_hh_{suffix}"]
    return (from_input + from_state).sigmoid()


def _before(states: Tensor, *, backwards: bool) -> Tensor:
    """At each word the state before it was read; zeros at the first."""
    nothing = torch.zeros_like(states[:1])
    return torch.cat((states[1:], nothing) if backwards else (nothing, states[:-1]))


def _array(values: Tensor) -> Values:
    array: Values = values.float().cpu().numpy()
    return array
