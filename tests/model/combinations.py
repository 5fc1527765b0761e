"""Few networks that hold every pair of bricks, made tiny, and a step of training."""

from __future__ import annotations

import random
from collections.abc import Sequence
from importlib.util import find_spec
from itertools import combinations, product
from pathlib import Path
from typing import Any, get_args

import torch
from torch import Tensor, nn

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


def pairs(names: Sequence[str]) -> set[Pair]:
    """Every two of these bricks, each with its family's place."""
    return set(combinations(enumerate(names), 2))


def _covering(families: list[list[str]]) -> list[tuple[str, ...]]:
    """Combinations that hold every possible pair of bricks of two families, greedily few."""
    possible = [names for names in product(*families) if _fit(names)]
    pairs_of = {names: pairs(names) for names in possible}
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
    """The configuration of a tiny network of these bricks."""
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


def looked_at(names: tuple[str, ...]) -> Tensor:
    """Three pictures for a network of these bricks, or their regions."""
    return torch.rand(3, 4, 5) if names[0] == "regions" else torch.rand(3, 3, 24, 32)


def step(network: Network, batch: tuple[Any, ...], targets: Targets, choices: Choices) -> float:
    """Train one step; the loss before it."""
    optimizer = torch.optim.SGD(network.parameter_groups(0.01))
    network.train()
    output = network(*batch)
    loss = network.loss(output, targets, choices)
    loss.total.backward()
    optimizer.step()
    return loss.answers.item()
