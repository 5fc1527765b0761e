"""Hidden units after each word, against torch's own layers and the equations of their papers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from vqa.config import Experiment
from vqa.data.text import AnswerVocabulary, QuestionTokenizer
from vqa.errors import ModelError
from vqa.evaluation.word_states import word_states
from vqa.export import VQAModel
from vqa.model.config import Sizes

QUESTION = "Is the red square left of the zebra?"
WORDS = ["is", "the", "red", "square", "left", "of", "the", "[UNK]", "?"]
Make = Callable[..., VQAModel]
PARTS = ("weight_ih", "bias_ih", "weight_hh", "bias_hh")
GATES = ("input", "forget", "output")


@pytest.fixture
def make(experiment: Callable[..., Experiment]) -> Make:
    """An untrained model with a question encoder."""

    def made(**encoder: Any) -> VQAModel:
        fields = experiment(model={"question_encoder": {"embedding_dim": 5, **encoder}})
        tokenizer = QuestionTokenizer.build(["Is the red square left of the circle?"])
        vocabulary = AnswerVocabulary(("yes", "no"))
        torch.manual_seed(0)
        network = fields.model.build(Sizes(16, 16, len(tokenizer), len(vocabulary)))
        return VQAModel(network, fields, tokenizer, vocabulary, "")

    return made


def embedded(model: VQAModel) -> torch.Tensor:
    ids = torch.from_numpy(model.tokenizer.encode([QUESTION]).ids.astype(np.int64))
    return model.network.question_encoder.embedding(ids).detach()


@pytest.mark.parametrize(("name", "kind"), [("rnn", nn.RNN), ("gru", nn.GRU), ("lstm", nn.LSTM)])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_states_are_those_of_torchs_own_layers(
    make: Make, name: str, kind: type[nn.RNNBase], bidirectional: bool
) -> None:
    model = make(name=name, dim=6, layers=2, bidirectional=bidirectional, dropout=0.5)
    model.network.train()  # dropout must not reach what is shown
    inputs = embedded(model)
    for place, layer in enumerate(model.network.question_encoder.layers):
        own = kind(inputs.shape[1], 6, bidirectional=bidirectional)
        own.load_state_dict(layer.state_dict())
        outputs = own(inputs)[0].detach()
        found = word_states(model, QUESTION, place)
        assert found is not None
        assert (found.layer, found.layers, found.directions) == (place, 2, 1 + bidirectional)
        np.testing.assert_allclose(found.states, outputs, atol=1e-6)
        inputs = outputs
    assert model.network.training
    last = word_states(model, QUESTION)
    assert last is not None
    assert last.words == WORDS
    np.testing.assert_array_equal(last.states, found.states)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_an_lstms_gates_make_its_states(make: Make, bidirectional: bool) -> None:
    model = make(name="lstm", dim=6, bidirectional=bidirectional)
    found = word_states(model, QUESTION)
    assert found is not None
    assert set(found.gates) == {"input", "forget", "output"}
    layer, inputs = model.network.question_encoder.layers[0], embedded(model)
    for half, suffix in enumerate(("l0", "l0_reverse")[: found.directions]):
        units = slice(6 * half, 6 * half + 6)
        weights = {n: getattr(layer, f"{n}_{suffix}").detach().chunk(4)[2] for n in PARTS}
        state, cell = torch.zeros(6), torch.zeros(6)
        for place in range(len(WORDS)) if half == 0 else reversed(range(len(WORDS))):
            i, f, o = (torch.from_numpy(found.gates[n][place, units]) for n in GATES)
            cell = f * cell + i * pre(weights, inputs[place], state).tanh()
            state = o * cell.tanh()
            np.testing.assert_allclose(found.states[place, units], state, atol=1e-5)


def test_a_grus_gates_make_its_states(make: Make) -> None:
    model = make(name="gru", dim=6)
    found = word_states(model, QUESTION)
    assert found is not None
    assert set(found.gates) == {"reset", "update"}
    layer, inputs = model.network.question_encoder.layers[0], embedded(model)
    w = {n: getattr(layer, f"{n}_l0").detach().chunk(3)[2] for n in PARTS}
    state = torch.zeros(6)
    for place in range(len(WORDS)):
        r, z = (torch.from_numpy(found.gates[n][place]) for n in ("reset", "update"))
        inner = w["weight_ih"] @ inputs[place] + w["bias_ih"]
        new = (inner + r * (w["weight_hh"] @ state + w["bias_hh"])).tanh()
        state = (1 - z) * new + z * state
        np.testing.assert_allclose(found.states[place], state, atol=1e-5)


def test_units_are_ranked_by_how_much_they_vary(make: Make) -> None:
    found = word_states(make(name="lstm", dim=6), QUESTION)
    assert found is not None
    spread = found.states.std(axis=0)
    assert sorted(found.ranked()) == list(range(6))
    assert (np.diff(spread[found.ranked()]) <= 0).all()


def test_what_has_no_states_says_so(make: Make) -> None:
    assert word_states(make(name="bag"), QUESTION) is None
    with pytest.raises(ModelError, match="no layer 1: there are 1"):
        word_states(make(name="lstm", dim=6), QUESTION, 1)


def pre(weights: dict[str, torch.Tensor], word: torch.Tensor, state: torch.Tensor) -> torch.Tensor:
    from_word = weights["weight_ih"] @ word + weights["bias_ih"]
    return from_word + weights["weight_hh"] @ state + weights["bias_hh"]
