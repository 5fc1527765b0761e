"""A run begins by saying which of its settings do nothing, or cannot."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from vqa.config import Experiment
from vqa.training.run import train

Make = Callable[..., Experiment]


def test_settings_that_do_nothing_are_told(experiment: Make, tmp_path: Path) -> None:
    data = {"validation_split": "none"}
    trainer = {"max_epochs": 1, "check_val_every_n_epoch": 2, "accelerator": "cpu"}
    train(experiment(data=data, trainer=trainer, optimizer={"momentum": 0.5}), tmp_path / "run")
    lines = (tmp_path / "run" / "events.jsonl").read_text().splitlines()
    events = map(json.loads, lines)
    assert [event["message"] for event in events if event["event"] == "warning"] == [
        "optimizer.momentum=0.5 does nothing: optimizer.name is adam (sgd and muon read it)",
        "trainer.check_val_every_n_epoch=2 does nothing: no split validates (data.validation_split=none)",
    ]


@pytest.mark.parametrize("warmup", [4, 5])
def test_a_warm_up_that_outlasts_the_run_is_told(
    experiment: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str], warmup: int
) -> None:
    optimizer = {"schedule": {"warmup_steps": warmup}}
    train(
        experiment(trainer={"max_epochs": 1, "accelerator": "cpu"}, optimizer=optimizer), tmp_path
    )
    said = "warmup_steps=5, and the run has 5 steps: the learning rate never comes to optimizer.lr — shorten the"
    assert (said in capsys.readouterr().err) == (warmup == 5)
