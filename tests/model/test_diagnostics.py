"""Gradient norms by step and forget gates, against loops that do it one word at a time."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_sequence

from vqa.model.question_encoder import GRU, LSTM, NoQuestion
from vqa.model.question_encoder.diagnostics import (
    forget_gates,
    gradient_norm_by_step,
    keep_gradient,
)
from vqa.model.types import EncodedText

WORDS = 12
LENGTHS = [3, 6, 1, 4, 6]


@pytest.fixture
def texts() -> list[Tensor]:
    return [torch.randint(WORDS, (length,)) for length in LENGTHS]


def _packed(texts: list[Tensor]) -> PackedSequence:
    return pack_sequence(texts, enforce_sorted=False)


def test_gradient_norms_by_step(texts: list[Tensor]) -> None:
    encoder = GRU(dim=5, embedding_dim=4, layers=2).build(WORDS).double()
    encoded = encoder(_packed(texts))
    assert keep_gradient(encoded)
    encoded.vector.square().sum().backward()
    got = gradient_norm_by_step(encoded.inputs)
    norms: list[list[float]] = [[] for _ in range(max(LENGTHS))]
    for text in texts:
        alone = encoder(_packed([text]))
        keep_gradient(alone)
        alone.vector.square().sum().backward()
        for back, gradient in enumerate(alone.inputs.data.grad.flip(0)):
            norms[back].append(gradient.norm().item())
    assert got.tolist() == pytest.approx([sum(n) / len(n) for n in norms], rel=1e-5)


def test_a_positive_forget_bias_carries_gradients_further() -> None:
    texts = [torch.randint(WORDS, (30,)) for _ in range(8)]
    reach = {}
    for bias in (-2.0, 2.0):
        torch.manual_seed(0)
        encoded = LSTM(dim=16, embedding_dim=8, forget_bias=bias).build(WORDS)(_packed(texts))
        keep_gradient(encoded)
        encoded.vector.sum().backward()
        norms = gradient_norm_by_step(encoded.inputs)
        reach[bias] = (norms[15] / norms[0]).item()
    assert reach[2.0] > 100 * reach[-2.0]


def test_where_there_is_no_gradient_there_are_no_norms(texts: list[Tensor]) -> None:
    constant: EncodedText = NoQuestion().build(WORDS)(_packed(texts))
    assert not keep_gradient(constant)
    assert gradient_norm_by_step(constant.inputs).shape == (0,)
    with torch.no_grad():
        encoded = GRU(dim=5).build(WORDS)(_packed(texts))
    assert not keep_gradient(encoded)
    assert gradient_norm_by_step(encoded.inputs).shape == (0,)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_forget_gates_equal_a_loop_over_words(texts: list[Tensor], bidirectional: bool) -> None:
    config = LSTM(dim=5, embedding_dim=4, layers=2, bidirectional=bidirectional, dropout=0.5)
    encoder = config.build(WORDS)
    got = forget_gates(encoder, _packed(texts))
    assert encoder.training
    encoder.eval()
    for depth, layer in enumerate(encoder.layers):
        gates = []
        for text in texts:
            inputs = encoder.run(_packed([text]))[depth].inputs.data
            for suffix in ("l0", "l0_reverse")[: 1 + bidirectional]:
                gates += _gates(layer, suffix, inputs if suffix == "l0" else inputs.flip(0))
        torch.testing.assert_close(got[depth], torch.cat(gates).mean())


def _gates(layer: torch.nn.LSTM, suffix: str, inputs: Tensor) -> list[Tensor]:
    weights = [
        getattr(layer, f"{w}_{s}_{suffix}") for w in ("weight", "bias") for s in ("ih", "hh")
    ]
    w_ih, w_hh, b_ih, b_hh = weights
    hidden, cell, gates = torch.zeros(5), torch.zeros(5), []
    for word in inputs:
        i, f, g, o = (w_ih @ word + b_ih + w_hh @ hidden + b_hh).chunk(4)
        gates.append(f.sigmoid())
        cell = f.sigmoid() * cell + i.sigmoid() * g.tanh()
        hidden = o.sigmoid() * cell.tanh()
    return gates


def test_forget_gates_start_open_and_are_an_lstms_alone(texts: list[Tensor]) -> None:
    open_gates = forget_gates(LSTM(dim=16, forget_bias=4).build(WORDS), _packed(texts))
    assert open_gates.shape == (1,)
    assert open_gates.item() > 0.9
    assert forget_gates(GRU(dim=5).build(WORDS), _packed(texts)).shape == (0,)
    assert forget_gates(NoQuestion().build(WORDS), _packed(texts)).shape == (0,)
