"""A validation that may take long is left by all processes after one batch, and done again."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.training.struck import STRUCK_AT, be_struck
from tests.training.test_resume import assert_same
from vqa.config import Experiment
from vqa.training.launch import variables_of_ranks
from vqa.training.run import train
from vqa.training.supervise import STOPPED
from vqa.training.validation import Validation

Make = Callable[..., Experiment]


def saved_step(run: Path) -> int:
    """The last checkpoint's step; 0 without one."""
    manifests = sorted((run / "checkpoints").glob("step-*.json"))
    return json.loads(manifests[-1].read_text())["step"] if manifests else 0


@pytest.mark.parametrize("together", [1, 2])
def test_one_process(
    together: int, experiment: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = {"accumulate_grad_batches": together, "log_every_n_steps": 2, "accelerator": "cpu"}
    made, run, original = experiment(trainer=trainer), tmp_path / "run", Validation.accuracy

    def struck(self: Validation, *args: Any) -> float:
        os.kill(os.getpid(), signal.SIGTERM)
        return original(self, *args)

    with monkeypatch.context() as patch:
        patch.setattr(Validation, "accuracy", struck)
        result = train(made, run)
    assert result.status == "preempted"
    assert result.fields["training"]["steps"] == saved_step(run)
    assert "val/accuracy" not in (run / "metrics.jsonl").read_text()
    assert train(made, run).status == "succeeded"
    train(made, tmp_path / "whole")
    assert_same(run, tmp_path / "whole")


def test_several_processes(experiment: Make, tmp_path: Path) -> None:
    made = experiment(
        trainer={"devices": 2, "log_every_n_steps": 2, "max_epochs": 2, "accelerator": "cpu"},
        evaluation={"batch_size": 3},
    )
    train(made, tmp_path / "whole")
    run = tmp_path / "run"
    run.mkdir()
    (run / "experiment.yaml").write_text(made.to_yaml())
    new = multiprocessing.get_context("spawn").Process
    ranks = [new(target=be_struck, args=(run, variables)) for variables in variables_of_ranks(2)]
    for process in ranks:
        process.start()
    for process in ranks:
        process.join()
    assert [process.exitcode for process in ranks] == [STOPPED, STOPPED]
    assert [(run / f"asked-{k}").read_text() for k in (0, 1)] == [str(STRUCK_AT)] * 2
    outcome = json.loads((run / ".outcome.json").read_text())
    assert (outcome["status"], outcome["training"]["steps"]) == ("preempted", saved_step(run))
    for k in (0, 1):
        (run / f"asked-{k}").unlink()
    assert train(made, run).status == "succeeded"
    assert_same(run, tmp_path / "whole")
