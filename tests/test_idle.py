"""Settings that do nothing are told, each with what switches it off."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from vqa.config import load_experiment, parse_experiment
from vqa.idle import RULES, idle
from vqa.model.brick import Brick

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
HARD = {"name": "hard", "estimator": "reinforce"}
CASES: list[tuple[dict[str, Any], str]] = [
    ({"optimizer": {"momentum": 0.5}}, "optimizer.name is adam (sgd and muon read it)"),
    ({"optimizer": {"name": "sgd", "eps": 1e-6}}, "optimizer.name is sgd (the other"),
    ({"optimizer": {"schedule": {"name": "step", "final_ratio": 0.1}}}, "cosine reads it"),
    ({"optimizer": {"schedule": {"name": "cosine", "gamma": 0.5}}}, "step reads it"),
    ({"trainer": {"early_stopping": {"min_delta": 1}}}, "patience is 0 (no run stops early)"),
    ({"model": {"question_encoder": {"name": "bag", "keep": 0.1}}}, "pooling is mean"),
    ({"model": {"question_encoder": {"glimpse_hidden": 8, "name": "gru"}}}, "attention reads it"),
    ({"model": {"attention": {"name": "hard", "entropy": 1}}}, "estimator is straight-through"),
    ({"model": {"attention": {**HARD, "temperature": 2}}}, "estimator is reinforce"),
    (
        {"model": {"fusion": {"name": "concat", "hidden": [], "activation": "tanh"}}},
        "model.fusion.hidden is [] (it comes after hidden layers)",
    ),
    ({"model": {"head": {"name": "classifier", "activation": "tanh"}}}, "model.head.hidden is []"),
    (
        {"model": {"image_encoder": "regions"}, "data": {"augmentation": {"shift": 1}}},
        "regions were found in the pictures as they are",
    ),
]


def told(sections: dict[str, Any], *, validated: bool = True) -> list[str]:
    data = {"store": "s", **sections.get("data", {})}
    return idle(parse_experiment({**sections, "data": data}), validated=validated)


@pytest.mark.parametrize(("sections", "why"), CASES)
def test_what_does_nothing_is_told(sections: dict[str, Any], why: str) -> None:
    [said] = told(sections)
    assert " does nothing: " in said
    assert why in said


@pytest.mark.parametrize(
    "sections",
    [
        {"optimizer": {"name": "sgd", "momentum": 0.5}},
        {"optimizer": {"name": "muon", "momentum": 0.5, "eps": 1e-6}},
        {"optimizer": {"schedule": {"name": "cosine", "final_ratio": 0.1}}},
        {"trainer": {"early_stopping": {"patience": 1, "min_delta": 1}}},
        {"model": {"question_encoder": {"name": "bag", "pooling": "forgetting", "keep": 0.1}}},
        {"model": {"attention": {**HARD, "entropy": 1}}},
        {"model": {"fusion": {"name": "multiply", "activation": "relu"}}},
        {"data": {"augmentation": {"shift": 1}}},
    ],
)
def test_what_is_read_is_not(sections: dict[str, Any]) -> None:
    assert told(sections) == []


def test_what_needs_a_validation() -> None:
    sections = {"trainer": {"check_val_every_n_epoch": 2}}
    assert told(sections) == []
    assert len(told(sections, validated=False)) == 1


@pytest.mark.parametrize("kind", ["experiments", "recipes"])
def test_no_experiment_of_this_project_has_one(kind: str) -> None:
    for file in (CONFIGS / kind).glob("*.yaml"):
        assert idle(load_experiment(file), validated=True) == [], file


def test_rules_name_what_there_is() -> None:
    """A setting that is renamed would be told no more."""
    known: dict[str, set[str]] = {}
    for kind in _sections(parse_experiment({"data": {"store": "s"}}).__class__):
        known.setdefault(kind.__name__, set(kind.model_fields))
    for rule in RULES:
        assert any({*rule.keys, rule.by} <= fields for fields in known.values()), rule


def _sections(kind: type[Any]) -> list[type[Any]]:
    import vqa.config
    from vqa.model import attention, fusion, head, question_encoder

    rooms = (vqa.config, attention, fusion, head, question_encoder)
    found = [value for room in rooms for value in vars(room).values() if isinstance(value, type)]
    return [one for one in found if hasattr(one, "model_fields") and one is not Brick]
