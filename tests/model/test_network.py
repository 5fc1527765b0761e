"""The composition: every pair of bricks builds, trains a step and round-trips; the baselines train."""

from __future__ import annotations

import random
from collections.abc import Sequence
from importlib.util import find_spec
from itertools import combinations, product
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_sequence, pad_packed_sequence

from vqa.model.attention import AnyAttention
from vqa.model.config import ModelConfig, Sizes
from vqa.model.fusion import AnyFusion
from vqa.model.head import AnyHead
from vqa.model.image_encoder import AnyImageEncoder
from vqa.model.network import Network
from vqa.model.question_encoder import AnyQuestionEncoder
from vqa.model.types import Choices, Targets

SIZES = Sizes(image_height=24, image_width=32, words=12, answers=5)
TINY: dict[str, dict[str, Any]] = {
    "small": {"channels": (4, 4), "strides": (4, 2)},
    "torchvision": {"model": "alexnet", "lr": 1e-3},
    "backbone": {
        "settings": {
            "embedding_size": 4,
            "hidden_sizes": [4, 6],
            "depths": [1, 1],
            "layer_type": "basic",
        },
        "stage": ["stage1", "stage2"],
    },
    "regions": {"count": 4, "dim": 5},
    "bag": {"embedding_dim": 4},
    "rnn": {"dim": 4, "embedding_dim": 4},
    "gru": {"dim": 4, "embedding_dim": 4},
    "lstm": {"dim": 4, "embedding_dim": 4},
    "soft": {"hidden": 4, "glimpses": 2},
    "hard": {"hidden": 4, "estimator": "reinforce"},
    "stacked": {"dim": 4, "hidden": 4},
    "multi_head": {"dim": 4, "heads": 2},
    "co_attention": {"hidden": 4},
    "relation": {"hidden": (4, 4)},
    "film": {"blocks": 1, "dim": 4, "out": 4},
    "conv_gru": {"dim": 4, "hidden": 4},
    "concat": {"hidden": (6,)},
    "concat_mlp": {"hidden": (6,)},
    "multiply": {"dim": 6},
    "sum": {"dim": 6},
    "gated_tanh": {"dim": 6},
    "bilinear": {"dim": 6, "rank": 2},
    "mlb": {"dim": 6, "rank": 5},
    "mcb": {"dim": 16},
    "tucker": {"dim": 6, "image_dim": 3, "question_dim": 4},
    "mutan": {"dim": 6, "image_dim": 3, "question_dim": 4, "rank": 2},
    "mfb": {"dim": 6, "factor": 2},
    "mfh": {"dim": 3, "factor": 2},
    "block": {"dim": 6, "chunks": 2, "rank": 2},
    "chooser": {"dim": 6},
}
FAMILIES = {
    "image_encoder": AnyImageEncoder,
    "question_encoder": AnyQuestionEncoder,
    "attention": AnyAttention,
    "fusion": AnyFusion,
    "head": AnyHead,
}
NOT_HERE = {"timm"} if find_spec("timm") is None else set()
NAMES = [
    [
        name
        for member in get_args(get_args(union)[0])
        if (name := member.model_fields["name"].default) not in NOT_HERE
    ]
    for union in FAMILIES.values()
]
UNSHOWN = {"none", "relation", "film", "conv_gru"}
"""Attentions without weights to look at."""
CONVOLVING = {"film", "conv_gru"}
"""Attentions that need a grid."""

Pair = tuple[tuple[int, str], tuple[int, str]]


def _fit(names: Sequence[str]) -> bool:
    """Whether no brick's work goes unread and none lacks a grid (see ModelConfig)."""
    image, question, attention, fusion, _ = names
    blind = attention == "none" and question != "none"
    if image == "regions" and attention in CONVOLVING:
        return False
    return fusion != "image" or not (blind or attention == "co_attention")


def _pairs(names: Sequence[str]) -> set[Pair]:
    return set(combinations(enumerate(names), 2))


def _covering(families: list[list[str]]) -> list[tuple[str, ...]]:
    """Combinations that hold every possible pair of bricks of two families, greedily few."""
    possible = [names for names in product(*families) if _fit(names)]
    pairs_of = {names: _pairs(names) for names in possible}
    missing = set().union(*pairs_of.values())
    holding: dict[Pair, list[tuple[str, ...]]] = {pair: [] for pair in missing}
    for names in random.Random(0).sample(possible, len(possible)):
        for pair in pairs_of[names]:
            holding[pair].append(names)
    chosen = []
    while missing:
        candidates = holding[min(missing)][:60]
        best = max(candidates, key=lambda names: len(pairs_of[names] & missing))
        missing -= pairs_of[best]
        chosen.append(best)
    return chosen


COMBINATIONS = _covering(NAMES)


@pytest.fixture
def images() -> Tensor:
    return torch.rand(3, 3, 24, 32)


class TinyCNN(nn.Module):
    """Stands for torchvision's networks, which take most of a second to make."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 4, 3, stride=8), nn.BatchNorm2d(4), nn.ReLU())
        self.classifier = nn.Linear(4, 10)

    def forward(self, images: Tensor) -> Tensor:
        scores: Tensor = self.classifier(self.features(images).mean((2, 3)))
        return scores


def config_of(names: tuple[str, ...], bert: Path) -> ModelConfig:
    bricks: dict[str, Any] = {
        family: {"name": name, **TINY.get(name, {})}
        for family, name in zip(FAMILIES, names, strict=True)
    }
    if bricks["question_encoder"]["name"] == "transformers":
        bricks["question_encoder"]["model"] = str(bert)
    if names[1] == "none" and names[4] == "chooser":
        bricks["head"]["encoder"] = {"name": "gru", "dim": 4}
    soft = names[2] == "soft" and names[0] != "regions"
    return ModelConfig.model_validate({**bricks, "coordinates": soft, "octaves": 2 * soft})


def step(network: Network, batch: tuple[Any, ...], targets: Targets, choices: Choices) -> float:
    optimizer = torch.optim.SGD(network.parameter_groups(0.01))
    network.train()
    output = network(*batch)
    loss = network.loss(output, targets, choices)
    loss.total.backward()
    optimizer.step()
    return loss.answers.item()


def test_every_possible_pair_of_bricks_is_among_the_combinations() -> None:
    covered = set().union(*(_pairs(names) for names in COMBINATIONS))
    every = {pair for names in product(*NAMES) for pair in _pairs(names)}
    unfit = {((0, "regions"), (2, name)) for name in CONVOLVING}
    assert every - covered == {((2, "co_attention"), (3, "image")), *unfit}
    assert len(COMBINATIONS) < 1.3 * len(NAMES[2]) * len(NAMES[3])


@pytest.mark.parametrize("names", [pytest.param(n, id="-".join(n)) for n in COMBINATIONS])
def test_every_pair_trains_a_step_and_round_trips(
    names: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
    tiny_bert: Path,
    images: Tensor,
    image_of_question: Tensor,
    words: PackedSequence,
    choices: Choices,
    targets: Targets,
) -> None:
    monkeypatch.setattr(torchvision.models, "get_model", lambda *_, **__: TinyCNN())
    config = config_of(names, tiny_bert)
    network = config.build(SIZES)
    seen = torch.rand(3, 4, 5) if names[0] == "regions" else images
    batch = (seen, image_of_question, words, choices)
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
        loss = network.head.loss(scores, Targets(right[:, None], torch.ones(64, 1), none), None)
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
