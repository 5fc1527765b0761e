"""A run that died and went on ends bit-identical to one that never died."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from vqa.config import Experiment
from vqa.errors import RunError
from vqa.export import load
from vqa.tracking.journal import read_journal
from vqa.training import loop
from vqa.training.checkpoints import Checkpoints, State
from vqa.training.loop import SPEED, RunLoop
from vqa.training.run import train
from vqa.training.validation import Validation

Make = Callable[..., Experiment]


class Death(BaseException):
    """Ends a run as a kill does: nothing of the run's own code handles it."""


def die_at(batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kill the next run after `batch` batches, before anything is recorded or saved there."""
    original = RunLoop.on_train_batch_end

    def hook(self: RunLoop, *args: Any) -> None:
        if self.progress.batches + 1 == batch:
            raise Death
        original(self, *args)

    monkeypatch.setattr(RunLoop, "on_train_batch_end", hook)


def outcome(run: Path) -> tuple[dict[str, torch.Tensor], list[dict[str, Any]], str]:
    """Weights, the journal without times, and the predictions."""
    journal = [
        {k: v for k, v in record.items() if k not in ("time", SPEED)}
        for record in read_journal(run / "metrics.jsonl")
    ]
    return load(run).network.state_dict(), journal, (run / "predictions" / "test.jsonl").read_text()


def assert_same(one: Path, other: Path) -> None:
    (weights, journal, predictions), (weights2, journal2, predictions2) = (
        outcome(one),
        outcome(other),
    )
    assert weights.keys() == weights2.keys()
    for name, tensor in weights.items():
        assert torch.equal(tensor, weights2[name]), name
    assert journal == journal2
    assert predictions == predictions2


VARIANTS: dict[str, dict[str, Any]] = {
    "epochs": {},
    "steps": {
        "data": {"group_by_image": True, "group_size": 2},
        "trainer": {
            "max_epochs": 3,
            "checkpoint_every_n_steps": 2,
            "log_every_n_steps": 3,
            "accelerator": "cpu",
        },
    },
    "accumulated": {
        "trainer": {
            "max_epochs": 3,
            "accumulate_grad_batches": 2,
            "checkpoint_every_n_steps": 1,
            "log_every_n_steps": 1,
            "accelerator": "cpu",
        }
    },
    "everything": {
        "data": {"group_by_image": True, "augmentation": {"shift": 2, "horizontal_flip": True}},
        "model": {
            "question_encoder": {
                "name": "lstm",
                "dim": 8,
                "layers": 2,
                "dropout": 0.3,
                "embedding_dim": 8,
            },
            "attention": {"name": "soft", "hidden": 8, "dropout": 0.2, "grid_dropout": 0.1},
            "head": {"name": "chooser", "dim": 8, "dropout": 0.1},
            "coordinates": True,
        },
        "optimizer": {
            "name": "adamw",
            "weight_decay": 0.1,
            "schedule": {"name": "cosine", "warmup_steps": 3},
        },
        "trainer": {
            "max_epochs": 3,
            "checkpoint_every_n_steps": 3,
            "log_every_n_steps": 2,
            "gradient_clip_val": 0.1,
            "accelerator": "cpu",
            "precision": "bf16-mixed",
            "early_stopping": {"patience": 2},
        },
    },
    "drawn": {
        "data": {"group_by_length": True},
        "model": {
            "image_encoder": {"name": "small", "channels": [4, 8], "strides": [4, 2]},
            "question_encoder": {"name": "gru", "dim": 8, "embedding_dim": 8},
            "attention": {"name": "hard", "hidden": 8, "estimator": "reinforce"},
            "fusion": {"name": "mcb", "dim": 32},
        },
        "optimizer": {"name": "muon", "schedule": {"name": "cosine", "warmup_steps": 3}},
        "trainer": {"max_epochs": 3, "log_every_n_steps": 1, "accelerator": "cpu"},
    },
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_any_death_leaves_no_trace(
    variant: str, experiment: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = experiment(**VARIANTS[variant])
    train(made, tmp_path / "whole")
    for batch in (1, 4, 7, 8, 10):
        with monkeypatch.context() as patch:
            die_at(batch, patch)
            try:
                train(made, tmp_path / "broken")
            except Death:
                assert not (tmp_path / "broken" / "result.json").exists()
    assert train(made, tmp_path / "broken").status == "succeeded"
    assert_same(tmp_path / "whole", tmp_path / "broken")


def command(config: Path, run: Path) -> subprocess.Popen[bytes]:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    words = [sys.executable, "-m", "vqa.cli", "train", str(config), "--run", str(run)]
    return subprocess.Popen(
        words, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )


def wait_for_step(
    run: Path, step: int, process: subprocess.Popen[bytes], seconds: float = 120
) -> None:
    """Wait until the journal has a record of `step`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if any(record["step"] >= step for record in read_journal(run / "metrics.jsonl")):
            return
        assert process.poll() is None, process.stderr and process.stderr.read().decode()
        time.sleep(0.01)
    raise AssertionError(f"step {step} never came")


def test_sigkill_and_sigterm_of_the_real_command(experiment: Make, tmp_path: Path) -> None:
    trainer = {
        "max_epochs": 120,
        "checkpoint_every_n_steps": 7,
        "log_every_n_steps": 5,
        "accelerator": "cpu",
    }
    made = experiment(trainer=trainer)
    config = tmp_path / "experiment.yaml"
    config.write_text(made.to_yaml())
    run = tmp_path / "killed"
    for number, step in ((signal.SIGKILL, 30), (signal.SIGTERM, 90)):
        process = command(config, run)
        wait_for_step(run, step, process)
        process.send_signal(number)
        process.communicate(timeout=60)
        assert process.returncode != 0
        if number == signal.SIGTERM:
            assert json.loads((run / "result.json").read_text())["status"] == "preempted"
        else:
            assert not (run / "result.json").exists()
    torch.set_num_threads(1)
    assert train(made, run).status == "succeeded"
    train(made, tmp_path / "whole")
    assert_same(tmp_path / "whole", run)
    records = [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]
    events = [record["event"] for record in records if record["event"] != "memory"]
    assert events == ["started", "resumed", "preempted", "resumed", "succeeded"]


def test_a_finished_run_is_left_alone_and_another_experiment_is_refused(
    experiment: Make, tmp_path: Path
) -> None:
    train(experiment(), tmp_path / "run")
    before = (tmp_path / "run" / "result.json").read_bytes()
    assert train(experiment(), tmp_path / "run").status == "succeeded"
    assert (tmp_path / "run" / "result.json").read_bytes() == before
    with pytest.raises(RunError, match="another experiment"):
        train(experiment(seed=1), tmp_path / "run")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").touch()
    with pytest.raises(RunError, match="holds no run"):
        train(experiment(), tmp_path / "other")


def test_a_changed_store_is_not_gone_on_with(
    experiment: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = experiment()
    with monkeypatch.context() as patch:
        die_at(7, patch)
        with pytest.raises(Death):
            train(made, tmp_path / "run")
    state_file = next((tmp_path / "run" / "checkpoints").glob("step-*.pt"))
    monkeypatch.setattr("vqa.data.store.Store.fingerprint", "another")
    with pytest.raises(RunError, match="changed since this run began"):
        train(made, tmp_path / "run")
    assert state_file.exists()


def test_what_differs_is_named(experiment: Make, tmp_path: Path) -> None:
    train(experiment(), tmp_path / "run")
    with pytest.raises(RunError, match=r"it differs in model\.fusion\.dim, seed\)"):
        train(
            experiment(seed=1, model={"fusion": {"name": "multiply", "dim": 9}}), tmp_path / "run"
        )


@pytest.mark.parametrize("together", [1, 2])
@pytest.mark.parametrize("which", [1, 2])
def test_a_long_validation_loses_a_step_and_not_the_epoch_before_it(
    which: int, together: int, experiment: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """How long the first one takes is not known; the second is long."""
    trainer = {"max_epochs": 3, "accumulate_grad_batches": together, "accelerator": "cpu"}
    made = experiment(trainer=trainer)
    train(made, tmp_path / "whole")
    if which > 1:
        monkeypatch.setattr(loop, "LONG_SECONDS", 0.0)
    validations, original = [], Validation.accuracy

    def dies(self: Validation, *args: Any) -> float:
        validations.append(self)
        if len(validations) == which:
            raise Death
        return original(self, *args)

    with monkeypatch.context() as patch:
        patch.setattr(Validation, "accuracy", dies)
        with pytest.raises(Death):
            train(made, tmp_path / "run")
    train(made, tmp_path / "run")
    assert_same(tmp_path / "whole", tmp_path / "run")
    lines = (tmp_path / "run" / "events.jsonl").read_text().splitlines()
    events = [json.loads(line) for line in lines]
    [resumed] = [event["step"] for event in events if event["event"] == "resumed"]
    assert resumed == (which * 5 - 1) // together  # an epoch has five batches


def test_a_run_goes_on_with_the_words_that_it_began_with(
    experiment: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An older program cut texts by the first rules, and had no number for them."""
    made, run = experiment(trainer={"max_steps": 3}), tmp_path / "run"
    with monkeypatch.context() as patch:
        die_at(2, patch)
        with pytest.raises(Death):
            train(made, run)
    events = run / "events.jsonl"
    lines = [json.loads(line) for line in events.read_text().splitlines()]
    assert [line.pop("word_rules", None) for line in lines if line["event"] == "started"] == [2]
    events.write_text("".join(json.dumps(line) + "\n" for line in lines))
    train(made, run)
    assert "Han" not in (run / "model" / "tokenizer.json").read_text()
    train(made, tmp_path / "another")
    assert "Han" in (tmp_path / "another" / "model" / "tokenizer.json").read_text()


def test_weights_that_no_state_knows_of_are_not_taken_for_the_best(
    experiment: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A life ends between its best weights and their state, and the next one comes out a little differently."""
    run, accuracies = tmp_path / "run", [40.0, 60.0, 30.0]
    original = Checkpoints.save
    monkeypatch.setattr(Validation, "accuracy", lambda *_: accuracies.pop(0))

    def dies(self: Checkpoints, state: State, step: int) -> None:
        if len(accuracies) == 1:
            raise Death
        original(self, state, step)

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "save", dies)
        with pytest.raises(Death):
            train(experiment(), run)
    best = (run / "checkpoints" / "best.pt").read_bytes()
    result = train(experiment(), run)
    assert result.fields["training"]["best_validation_accuracy"] == 40.0
    assert result.fields["training"]["best_step"] == 5
    assert (run / "checkpoints" / "best.pt").read_bytes() == best
    assert not [*(run / "checkpoints").glob("best-next*")]
    weights = torch.load(run / "checkpoints" / "best.pt", weights_only=True)
    for name, tensor in load(run).network.state_dict().items():
        assert torch.equal(tensor, weights[name]), name
