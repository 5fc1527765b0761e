"""The names of curves: stable, and all that a journal holds."""

from __future__ import annotations

import re

import pytest

from vqa.tracking.curve_names import CURVES
from vqa.tracking.journal import read_journal
from vqa.training.run import train

STABLE = [
    "val/accuracy",
    "train/loss",
    "train/gradient_norm",
    "train/clipped_share",
    "train/lr",
    "train/questions_per_second",
    "gradient_by_step/*",
    "forget_gate/layer_*",
]


def curves_of(name: str) -> list[str]:
    return [curve.name for curve in CURVES if re.fullmatch(curve.pattern, name)]


def test_people_rely_on_these_names() -> None:
    assert [curve.name for curve in CURVES] == STABLE


@pytest.mark.parametrize("name", ["train/loss", "gradient_by_step/07", "forget_gate/layer_0"])
def test_a_name_belongs_to_its_curve(name) -> None:
    (curve,) = curves_of(name)
    assert curve.split("*")[0] in name


@pytest.mark.parametrize("name", ["train/losses", "gradient_by_step/", "xtrain/loss", "train_loss"])
def test_any_other_name_belongs_to_none(name) -> None:
    assert curves_of(name) == []


def test_a_journal_holds_no_other_name(experiment, tmp_path) -> None:
    train(experiment(trainer={"gradient_clip_val": 1.0}), tmp_path / "run")
    names = {name for record in read_journal(tmp_path / "run" / "metrics.jsonl") for name in record}
    shown = names - {"step", "epoch", "time"}
    assert [name for name in shown if not curves_of(name)] == []
    for curve in CURVES:
        assert any(re.fullmatch(curve.pattern, name) for name in shown), curve.name
