"""Every fusion and attention trains an epoch on the generated scenes, and what it learnt is finite."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vqa.config import Experiment
from vqa.export import load
from vqa.model.catalogue import members
from vqa.tracking.journal import read_journal
from vqa.training.run import train

TINY: dict[str, dict[str, Any]] = {
    "mcb": {"dim": 64},
    "tucker": {"image_dim": 8, "question_dim": 8, "dim": 8},
    "mutan": {"image_dim": 12, "question_dim": 12, "dim": 8},
    "mlb": {"rank": 16, "dim": 16},
    "mfb": {"dim": 16},
    "mfh": {"dim": 16},
    "block": {"dim": 16, "chunks": 4, "rank": 2},
    "relation": {"hidden": [8, 8]},
    "film": {"blocks": 2, "dim": 8, "out": 8},
    "conv_gru": {"dim": 8, "hidden": 8},
    "multi_head": {"dim": 8, "heads": 2},
    "hard": {"estimator": "reinforce"},
}
BRICKS = [
    pytest.param(family, str(member.model_fields["name"].default))
    for family in ("fusion", "attention")
    for member in members(family)
]


@pytest.mark.parametrize(("family", "name"), BRICKS)
def test_it_trains_an_epoch(
    family: str, name: str, experiment: Callable[..., Experiment], tmp_path: Path
) -> None:
    model: dict[str, Any] = {
        "image_encoder": {"name": "small", "channels": [4, 8], "strides": [4, 2]},
        "question_encoder": {"name": "lstm", "dim": 8, "embedding_dim": 8},
        "attention": {"name": "film", **TINY["film"]} if name == "image" else "soft",
        family: {"name": name, **TINY.get(name, {})},
    }
    trainer = {"max_epochs": 1, "log_every_n_steps": 1, "accelerator": "cpu"}
    made = experiment(model=model, trainer=trainer, tracking={"samples": 0})
    assert train(made, tmp_path / "run").status == "succeeded"
    losses = [
        r["train/loss"] for r in read_journal(tmp_path / "run/metrics.jsonl") if "train/loss" in r
    ]
    assert len(losses) == 5
    assert all(0 < loss < 20 for loss in losses)
    assert all(t.isfinite().all() for t in load(tmp_path / "run").network.state_dict().values())
