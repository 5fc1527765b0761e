"""Question encoders: padding and batching change nothing."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_sequence, pad_packed_sequence

from tests.model import questions
from tests.model.questions import LENGTHS, WORDS
from vqa.model.question_encoder import GRU, LSTM, RNN, Bag
from vqa.model.types import EncodedText

RECURRENT = [
    pytest.param(member, layers, bidirectional, id=f"{member.__name__}-{layers}-{bidirectional}")
    for member in (RNN, GRU, LSTM)
    for layers in (1, 3)
    for bidirectional in (False, True)
]
every_recurrent = pytest.mark.parametrize(("member", "layers", "bidirectional"), RECURRENT)


@every_recurrent
def test_a_question_alone_equals_itself_among_others(
    member: Any, layers: int, bidirectional: bool
) -> None:
    config = member(dim=5, embedding_dim=4, layers=layers, bidirectional=bidirectional)
    encoder, texts = config.build(WORDS).double(), questions.texts()
    together = questions.vector(encoder, texts)
    for place, text in enumerate(texts):
        torch.testing.assert_close(questions.vector(encoder, [text])[0], together[place])
    backwards = questions.vector(encoder, texts[::-1])
    torch.testing.assert_close(backwards.flip(0), together)


@every_recurrent
def test_it_equals_torch_over_each_unpadded_text(
    member: Any, layers: int, bidirectional: bool
) -> None:
    """One stacked torch module with the same weights, a question at a time, unpacked."""
    config = member(dim=5, embedding_dim=4, layers=layers, bidirectional=bidirectional)
    encoder, texts = config.build(WORDS).double(), questions.texts()
    cell = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}[config.name]
    whole = cell(4, 5, num_layers=layers, bidirectional=bidirectional).double()
    state = {
        name.replace("_l0", f"_l{depth}"): value
        for depth, layer in enumerate(encoder.layers)
        for name, value in layer.state_dict().items()
    }
    whole.load_state_dict(state)
    directions = 2 if bidirectional else 1
    for text, vector in zip(texts, questions.vector(encoder, texts), strict=True):
        _, last = whole(encoder.embedding(text)[:, None])
        hidden = last[0] if isinstance(last, tuple) else last
        torch.testing.assert_close(vector, hidden[-directions:, 0].flatten())


@every_recurrent
def test_gradients_of_a_question_ignore_its_neighbours(
    member: Any, layers: int, bidirectional: bool
) -> None:
    config = member(dim=5, embedding_dim=4, layers=layers, bidirectional=bidirectional)
    encoder, texts = config.build(WORDS).double(), questions.texts()
    questions.vector(encoder, texts)[2].sum().backward()
    among = [p.grad.clone() for p in encoder.parameters()]
    encoder.zero_grad()
    questions.vector(encoder, texts[2:3]).sum().backward()
    for got, parameter in zip(among, encoder.parameters(), strict=True):
        torch.testing.assert_close(got, parameter.grad)


def test_packing_that_is_sorted_already_needs_no_indices() -> None:
    encoder = LSTM(dim=5, embedding_dim=4).build(WORDS)
    texts = sorted(questions.texts(), key=len, reverse=True)
    plain = encoder(pack_sequence(texts)).vector
    torch.testing.assert_close(plain, questions.vector(encoder, texts))


def test_the_states_end_in_the_vector() -> None:
    encoder = GRU(dim=5, embedding_dim=4, layers=2).build(WORDS)
    encoded = encoder(questions.packed(questions.texts()))
    states, lengths = pad_packed_sequence(encoded.states, batch_first=True)
    torch.testing.assert_close(states[torch.arange(6), lengths - 1], encoded.vector)


@pytest.mark.parametrize("bias", [1.0, -2.5, 0.0])
def test_the_forget_bias_is_the_sum_of_torchs_two(bias: float) -> None:
    encoder = LSTM(dim=5, layers=2, bidirectional=True, forget_bias=bias).build(WORDS)
    for layer in encoder.layers:
        for suffix in ("l0", "l0_reverse"):
            total = getattr(layer, f"bias_ih_{suffix}") + getattr(layer, f"bias_hh_{suffix}")
            assert total[5:10].tolist() == [bias] * 5
            assert len(set(total[:5].tolist())) > 1


def test_dropout_between_layers_and_on_the_embedding() -> None:
    for fields in ({"dropout": 0.5, "layers": 2}, {"embedding_dropout": 0.5}):
        encoder = GRU(dim=5, **fields).build(WORDS)
        texts = questions.texts()
        assert not torch.equal(questions.vector(encoder, texts), questions.vector(encoder, texts))
        encoder.eval()
        assert torch.equal(questions.vector(encoder, texts), questions.vector(encoder, texts))


@pytest.mark.parametrize("pooling", ["mean", "sum"])
def test_a_bag_pools_each_texts_words(pooling: Any) -> None:
    encoder, texts = Bag(embedding_dim=4, pooling=pooling).build(WORDS).double(), questions.texts()
    together = questions.vector(encoder, texts)
    for text, vector in zip(texts, together, strict=True):
        words = encoder.embedding.weight[text]
        torch.testing.assert_close(vector, words.mean(0) if pooling == "mean" else words.sum(0))
        torch.testing.assert_close(questions.vector(encoder, [text.flip(0)])[0], vector)


def test_a_bags_states_are_its_words() -> None:
    encoder, texts = Bag(embedding_dim=4).build(WORDS), questions.texts()
    states, present = encoder(questions.packed(texts)).words()
    assert present.sum(1).tolist() == LENGTHS
    for row, text in zip(states, texts, strict=True):
        torch.testing.assert_close(row[: len(text)], encoder.embedding.weight[text])
        assert not row[len(text) :].any()


@pytest.mark.parametrize("bidirectional", [False, True])
def test_attention_pooling_weighs_the_states(bidirectional: bool) -> None:
    config = GRU(
        dim=5, pooling="attention", glimpses=2, glimpse_hidden=6, bidirectional=bidirectional
    )
    encoder, texts = config.build(WORDS).double(), questions.texts()
    together, states = questions.vector(encoder, texts), encoder(questions.packed(texts)).states
    assert encoder.dim == 2 * 5 * (1 + bidirectional) == together.shape[1]
    rows, lengths = pad_packed_sequence(states, batch_first=True)
    project, score = encoder.pool.project.weight, encoder.pool.score.weight
    for place, (row, length) in enumerate(zip(rows, lengths.tolist(), strict=True)):
        h = row[:length]
        weights = ((h @ project.T).tanh() @ score.T).softmax(0)
        torch.testing.assert_close(together[place], (weights.T @ h).flatten())
        torch.testing.assert_close(questions.vector(encoder, [texts[place]])[0], together[place])


def test_words_are_each_questions_own(image_of_question: Tensor) -> None:
    """Two questions with one text read the same words."""
    texts = questions.texts()
    encoded = LSTM(dim=5).build(WORDS)(questions.packed(texts))
    which = torch.tensor([2, 1, 1, 5])
    states, present = encoded.words()
    chosen = encoded._replace(vector=encoded.vector[which], text_of_question=which).words()
    assert torch.equal(chosen[0], states[which])
    assert chosen[1].sum(1).tolist() == [LENGTHS[i] for i in which.tolist()]
    alone, one = EncodedText(encoded.vector).words()
    assert torch.equal(alone[:, 0], encoded.vector)
    assert one.tolist() == [[True]] * 6
    assert present.sum(1).tolist() == LENGTHS


def test_a_skip_thought_wide_gru_is_configuration() -> None:
    with torch.device("meta"):
        encoder = GRU(dim=2400, embedding_dim=620).build(WORDS)
    assert encoder.dim == 2400
    # torch's GRU has two biases a gate: 3 (620 + 2400 + 2) 2400.
    assert sum(p.numel() for p in encoder.layers.parameters()) == 3 * 3022 * 2400


@pytest.mark.parametrize("keep", [0.5, 0.9])
def test_a_forgetting_bag_is_the_recursion_of_its_paper(keep: float) -> None:
    encoder = Bag(pooling="forgetting", keep=keep, embedding_dim=3).build(9)
    texts = [torch.tensor(words) for words in ([1, 2], [3, 4, 5, 3], [6])]
    got = encoder(pack_sequence(texts, enforce_sorted=False)).vector
    for vector, words in zip(got, texts, strict=True):
        expected = torch.zeros(3)
        for word in words:
            expected = keep * expected + encoder.embedding.weight[word]
        torch.testing.assert_close(vector, expected)
