"""The composition: its parts answer, are trained and begin as they are told to; the baselines train."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_sequence, pad_packed_sequence

from tests.model.combinations import SIZES, TINY, step
from vqa.model.config import ModelConfig, Sizes
from vqa.model.types import Choices, Output, Targets


def test_encoded_pictures_give_the_same_answers(
    images: Tensor, image_of_question: Tensor, words: PackedSequence
) -> None:
    network = ModelConfig(attention={"name": "soft"}, coordinates=True).build(SIZES).eval()  # type: ignore[arg-type]
    grid = network.image_encoder(images)
    whole, cached = (
        network(images, image_of_question, words),
        network.answer(grid, image_of_question, words),
    )
    assert torch.equal(whole.scores, cached.scores)


def test_words_are_as_wide_as_a_state_beside_a_vector_of_several_glimpses(
    images: Tensor,
    image_of_question: Tensor,
    words: PackedSequence,
    targets: Targets,
    choices: Choices,
) -> None:
    encoder = {"name": "gru", "dim": 4, "pooling": "attention", "glimpses": 2}
    fields = {"question_encoder": encoder, "attention": {"name": "conv_gru", **TINY["conv_gru"]}}
    network = ModelConfig.model_validate(fields).build(SIZES)
    assert network.attention.project_word.in_features == 4
    assert step(network, (images, image_of_question, words), targets, choices) > 0


@pytest.mark.parametrize(
    "fields",
    [
        {"attention": "co_attention"},
        {"attention": {"name": "co_attention", "order": "alternating"}},
        {"attention": "conv_gru", "fusion": "image"},
    ],
)
def test_dropout_acts_where_an_attention_reads_the_words_alone(
    fields: dict[str, Any], images: Tensor, image_of_question: Tensor, words: PackedSequence
) -> None:
    encoder = {"name": "lstm", "dim": 4, "embedding_dim": 4, "dropout": 0.5}
    network = ModelConfig.model_validate({**fields, "question_encoder": encoder}).build(SIZES)

    def scores() -> Tensor:
        output: Output = network(images, image_of_question, words)
        return output.scores

    assert not torch.equal(scores(), scores())
    network.eval()
    assert torch.equal(scores(), scores())


def test_parameter_groups_by_learning_rate(tiny_bert: Path) -> None:
    config = ModelConfig.model_validate(
        {
            "image_encoder": {"name": "torchvision", "model": "squeezenet1_1", "lr": 1e-4},
            "question_encoder": {"name": "transformers", "model": str(tiny_bert), "lr": 1e-5},
        }
    )
    network = config.build(SIZES)
    groups = network.parameter_groups(1e-3)
    assert {g["name"]: g["lr"] for g in groups} == {
        "network": 1e-3,
        "image_encoder": 1e-4,
        "question_encoder": 1e-5,
    }
    grouped = [id(p) for group in groups for p in group["params"]]
    assert sorted(grouped) == sorted(id(p) for p in network.parameters())


def test_frozen_parameters_are_in_no_group() -> None:
    fields = {"image_encoder": {"name": "torchvision", "model": "squeezenet1_1", "frozen": True}}
    network = ModelConfig.model_validate(fields).build(SIZES)
    (group,) = network.parameter_groups(1e-3)
    frozen = {id(p) for p in network.image_encoder.parameters()}
    assert frozen
    assert not frozen & {id(p) for p in group["params"]}


def test_a_shared_chooser_has_no_encoder_of_its_own(choices: Choices) -> None:
    shared = ModelConfig.model_validate({"head": "chooser"}).build(SIZES)
    assert shared.choice_encoder is None
    own = ModelConfig.model_validate({"head": {"name": "chooser", "encoder": "gru"}}).build(SIZES)
    assert own.choice_encoder is not None
    assert own.choice_encoder is not own.question_encoder


BASELINES = {
    "question only": {"image_encoder": "none"},
    "image only": {"question_encoder": "none", "image_encoder": TINY["small"] | {"name": "small"}},
    "choices only": {
        "image_encoder": "none",
        "question_encoder": "none",
        "head": {"name": "chooser", "encoder": "gru"},
    },
}


@pytest.mark.parametrize("name", BASELINES)
def test_baselines_train_on_what_they_see_alone(
    name: str,
    images: Tensor,
    image_of_question: Tensor,
    words: PackedSequence,
    choices: Choices,
    targets: Targets,
) -> None:
    network = ModelConfig.model_validate(BASELINES[name]).build(SIZES)
    losses = [
        step(network, (images, image_of_question, words, choices), targets, choices)
        for _ in range(12)
        if network.zero_grad() is None
    ]
    assert losses[-1] < losses[0]
    network.eval()
    before = network(images, image_of_question, words, choices).scores
    other = PackedSequence((words.data + 1) % 12, *words[1:])
    blank = network(images * 0, image_of_question, words, choices).scores
    reworded = network(images, image_of_question, other, choices).scores
    assert torch.equal(before, blank) == (name != "image only")
    assert torch.equal(before, reworded) == (name != "question only")


def test_a_network_learns_from_picture_and_question_together() -> None:
    """Which corner is bright, and is it the one asked for: neither alone tells."""
    torch.manual_seed(0)
    fields = {
        "image_encoder": {"name": "small", "channels": (8, 16), "strides": (2, 2)},
        "question_encoder": {"name": "lstm", "dim": 16, "embedding_dim": 8},
        "attention": {"name": "none", "pool": "flatten"},
        "fusion": {"name": "multiply", "dim": 32},
    }
    network = ModelConfig.model_validate(fields).build(Sizes(8, 8, words=4, answers=2))
    optimizer = torch.optim.Adam(network.parameter_groups(5e-3))
    for _ in range(60):
        bright, asked = torch.randint(2, (64,)), torch.randint(2, (64,))
        images = torch.rand(64, 3, 8, 8) * 0.2
        images[torch.arange(64), :, bright * 7, 0] += 0.7
        words = pack_sequence([torch.tensor([3, a]) for a in asked.tolist()])
        right = (bright == asked).long()
        scores = network(images, torch.arange(64), words).scores
        none = torch.full((64,), -1)
        loss = network.head.losses(
            scores, Targets(right[:, None], torch.ones(64, 1), none), None
        ).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert (scores.argmax(1) == right).float().mean() > 0.95


@pytest.mark.parametrize("attention", ["soft", "co_attention"])
def test_questions_that_share_a_text_are_scored_as_if_each_had_its_own(
    attention, texts, image_of_question
) -> None:
    """Encoding a text once changes nothing but the work."""
    model = ModelConfig.model_validate(
        {
            "image_encoder": {"name": "small", "channels": [4], "strides": [4]},
            "attention": attention,
        }
    )
    network = model.build(Sizes(16, 16, 12, 5)).eval()
    images, once = torch.rand(3, 3, 16, 16), texts([3, 5])
    shared = torch.tensor([0, 1, 1, 0, 0, 1])
    padded, lengths = pad_packed_sequence(once, batch_first=True)
    own = pack_sequence([padded[i, : lengths[i]] for i in shared], enforce_sorted=False)
    together = network(images, image_of_question, once, text_of_question=shared)
    apart = network(images, image_of_question, own)
    torch.testing.assert_close(together.scores, apart.scores)
    torch.testing.assert_close(together.attention, apart.attention)


def test_matrices_are_those_that_map_vectors() -> None:
    network = ModelConfig.model_validate({}).build(SIZES)
    names = {name for name, p in network.named_parameters() if p in network.matrices()}
    assert names
    assert not any("embedding" in name or "image_encoder" in name for name in names)
    last = [name for name, p in network.head.named_parameters() if p.ndim == 2][-1]
    assert f"head.{last}" not in names


def test_he_begins_every_connected_layer_between_the_encoders_and_the_answers() -> None:
    fields = {"attention": {"name": "soft", "hidden": 512}, "fusion": {"name": "concat"}}
    torch.manual_seed(0)
    network = ModelConfig.model_validate(fields | {"initialization": "he"}).build(SIZES)
    for part in (network.attention, network.fusion, network.head):
        layers = [m for m in part.modules() if isinstance(m, nn.Linear) and m.in_features > 100]
        assert layers
        for layer in layers:
            assert layer.weight.var().mul(layer.in_features).item() == pytest.approx(2, rel=0.15)
            assert layer.bias is None or layer.bias.eq(0).all()
    plain = ModelConfig.model_validate(fields).build(SIZES)
    last = [m for m in plain.head.modules() if isinstance(m, nn.Linear)][-1]
    assert last.weight.var().mul(last.in_features).item() == pytest.approx(1 / 3, rel=0.15)
