"""Every pair of bricks builds, trains a step and round-trips; no brick minds padding, grouping or the device."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_sequence

from tests.model.combinations import (
    COMBINATIONS,
    CONVOLVING,
    NAMES,
    SIZES,
    UNSHOWN,
    TinyCNN,
    config_of,
    looked_at,
    pairs,
    step,
)
from vqa.model.config import ModelConfig
from vqa.model.network import Network
from vqa.model.types import Choices, Targets


def test_every_possible_pair_of_bricks_is_among_the_combinations() -> None:
    covered = set().union(*(pairs(names) for names in COMBINATIONS))
    every = {pair for names in product(*NAMES) for pair in pairs(names)}
    unfit = {((0, "regions"), (2, name)) for name in CONVOLVING}
    assert every - covered == {((2, "co_attention"), (3, "image")), *unfit}
    assert len(COMBINATIONS) < 1.3 * len(NAMES[2]) * len(NAMES[3])


@pytest.mark.parametrize("names", [pytest.param(n, id="-".join(n)) for n in COMBINATIONS])
def test_every_pair_trains_a_step_and_round_trips(
    names: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
    tiny_bert: Path,
    image_of_question: Tensor,
    words: PackedSequence,
    choices: Choices,
    targets: Targets,
) -> None:
    monkeypatch.setattr(torchvision.models, "get_model", lambda *_, **__: TinyCNN())
    config = config_of(names, tiny_bert)
    network = config.build(SIZES)
    batch = (looked_at(names), image_of_question, words, choices)
    assert step(network, batch, targets, choices) > 0
    trained = [(n, p) for n, p in network.named_parameters() if p.requires_grad]
    assert [n for n, p in trained if p.grad is None] == []
    again = ModelConfig.model_validate(config.model_dump(mode="json")).build(
        SIZES, pretrained=False
    )
    again.load_state_dict(network.state_dict())
    with torch.no_grad():
        before, after = network.eval()(*batch), again.eval()(*batch)
    torch.testing.assert_close(after.scores, before.scores, rtol=0, atol=0)
    offered = network.head.choice_scores(before.scores, choices)
    assert offered.shape == choices.question.shape
    assert (before.attention is None) == (names[2] in UNSHOWN)


def _scores(network: Network, texts: list[Tensor], images: Tensor, where: Tensor) -> Tensor:
    output: Tensor = network(images, where, pack_sequence(texts, enforce_sorted=False)).scores
    return output


@pytest.mark.parametrize("attention", NAMES[2])
def test_neither_padding_nor_grouping_changes_an_answer(
    attention: str, images: Tensor, image_of_question: Tensor
) -> None:
    fields = {"attention": attention, "coordinates": True, "image_encoder": {"name": "small"}}
    network = ModelConfig.model_validate(fields).build(SIZES).double().eval()
    images = images.double()
    texts = [torch.randint(12, (length,)) for length in (3, 5, 1, 4, 5, 2)]
    together = _scores(network, texts, images, image_of_question)
    for place, text in enumerate(texts):
        image = images[image_of_question[place]][None]
        alone = _scores(network, [text], image, torch.tensor([0]))
        torch.testing.assert_close(alone[0], together[place])


def _meta_forms() -> list[dict[str, Any]]:
    """Every head with every recurrent encoder, every attention, every fusion."""
    recurrent = [
        {"question_encoder": q, "head": h}
        for q, h in product(("rnn", "gru", "lstm"), ("classifier", "chooser"))
    ]
    pooled = {"question_encoder": {"name": "lstm", "pooling": "attention", "glimpses": 2}}
    attentions: list[dict[str, Any]] = [{"attention": name} for name in NAMES[2]]
    attentions += [{"attention": {"name": "hard", "estimator": "reinforce"}}]
    attentions += [{"attention": {"name": "co_attention", "order": "alternating"}}]
    fusions = [{"fusion": name, "attention": "soft"} for name in NAMES[3]]
    return [*recurrent, pooled, {"question_encoder": "bag"}, *attentions, *fusions]


@pytest.mark.parametrize(
    "fields", _meta_forms(), ids=lambda fields: "-".join(map(str, fields.values()))
)
def test_no_tensor_is_made_on_another_device(
    fields: dict[str, Any],
    images: Tensor,
    image_of_question: Tensor,
    words: PackedSequence,
    choices: Choices,
    targets: Targets,
) -> None:
    """On the device without storage any tensor of the CPU would be refused."""
    network = ModelConfig.model_validate({**fields, "coordinates": True}).build(SIZES).to("meta")
    there = Choices(_elsewhere(choices.words), *(part.to("meta") for part in choices[1:]))
    output = network(images.to("meta"), image_of_question.to("meta"), _elsewhere(words), there)
    loss = network.loss(output, Targets(*(t.to("meta") for t in targets)), there)
    loss.total.backward()
    assert loss.total.is_meta
    assert network.head.choice_scores(output.scores, there).is_meta
    assert output.text.vector.is_meta


def _elsewhere(packed: PackedSequence) -> PackedSequence:
    """As on a GPU: the data there, the batch sizes here."""
    data, sizes, *order = packed
    return PackedSequence(data.to("meta"), sizes, *(indices.to("meta") for indices in order))
