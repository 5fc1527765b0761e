"""TERM and INT at any moment of a life that is not a training step, and journals that lost their end."""

from __future__ import annotations

import errno
import json
import os
import signal
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import torch

from vqa.config import Experiment
from vqa.errors import TrainingError
from vqa.export import VQAModel
from vqa.tracking.journal import Journal, read_journal
from vqa.training import distributed
from vqa.training import run as running
from vqa.training.checkpoints import Checkpoints
from vqa.training.directory import RunDirectory
from vqa.training.distributed import Vote
from vqa.training.loop import RunLoop
from vqa.training.run import train
from vqa.training.session import Session
from vqa.training.signals import Stopped, StopSignals
from vqa.training.validation import Validation

Make = Callable[..., Experiment]


def comparable(run: Path) -> list[dict[str, Any]]:
    records = [*read_journal(run / "metrics.jsonl")]
    return [{k: v for k, v in one.items() if k not in ("time", SPEED)} for one in records]


SPEED = "train/questions_per_second"
PLACES: dict[str, tuple[Any, str]] = {
    "restoring": (running, "_trusted_state"),
    "making batches": (Session, "batches"),
    "the best weights": (Checkpoints, "best"),
    "predicting": (running, "predict_split"),
    "scoring": (running, "_score"),
    "exporting": (VQAModel, "_write"),
}


def events(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGTERM, "preempted"), (signal.SIGINT, "cancelled")]
)
def test_a_signal_outside_of_training_stops_the_run_and_it_goes_on(
    place: str,
    number: int,
    status: str,
    experiment: Make,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    owner, name = PLACES[place]
    original = getattr(owner, name)

    def struck(*args: Any, **words: Any) -> Any:
        os.kill(os.getpid(), number)
        return original(*args, **words)

    made = experiment(trainer={"max_epochs": 1, "log_every_n_steps": 2, "accelerator": "cpu"})
    run = tmp_path / "run"
    before = signal.getsignal(signal.SIGTERM)
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, struck)
        assert train(made, run).status == status
    assert signal.getsignal(signal.SIGTERM) == before
    assert not list(run.glob(".model*"))
    assert train(made, run).status == "succeeded"
    assert [event["event"] for event in events(run)][-1] == "succeeded"
    train(made, tmp_path / "whole")
    assert comparable(run) == comparable(tmp_path / "whole")
    assert (run / "predictions" / "test.jsonl").read_text() == (
        tmp_path / "whole" / "predictions" / "test.jsonl"
    ).read_text()


def test_a_signal_in_the_last_step_of_training_stops_before_evaluation(
    experiment: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = RunLoop.on_train_batch_end
    made = experiment(trainer={"max_epochs": 1, "accelerator": "cpu"})

    def hook(self: RunLoop, *args: Any) -> None:
        original(self, *args)
        if self.progress.batches == 5:
            os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(RunLoop, "on_train_batch_end", hook)
        result = train(made, tmp_path / "run")
    assert result.status == "preempted"
    assert result.fields["training"]["steps"] == 5
    assert not (tmp_path / "run" / "predictions").exists()
    assert train(made, tmp_path / "run").status == "succeeded"


def test_a_signal_once_the_result_is_being_written_comes_too_late(
    experiment: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = running.write_result

    def struck(*args: Any, **words: Any) -> Any:
        os.kill(os.getpid(), signal.SIGTERM)
        return original(*args, **words)

    monkeypatch.setattr(running, "write_result", struck)
    made = experiment(trainer={"max_epochs": 1, "accelerator": "cpu"})
    assert train(made, tmp_path / "run").status == "succeeded"


def test_a_second_interrupt_is_not_waited_for() -> None:
    with StopSignals() as signals:
        signals.note()
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
        assert signals.status == "preempted"
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(Stopped):
            signals.heed()


def test_events_say_how_many_steps_there_are(experiment: Make, tmp_path: Path) -> None:
    train(experiment(), tmp_path / "run")
    assert {"step": 0, "steps": 10}.items() <= events(tmp_path / "run")[0].items()


@pytest.mark.parametrize("left", [0, 0.5, 0.9])
def test_a_journal_that_lost_its_end_does_not_cost_the_run(
    left: float,
    experiment: Make,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    made, run = experiment(), tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(running, "_score", lambda *_: os.kill(os.getpid(), signal.SIGTERM))
        train(made, run)
    whole = (run / "metrics.jsonl").read_bytes()
    (run / "metrics.jsonl").write_bytes(whole[: round(len(whole) * left)])
    for newest in sorted((run / "checkpoints").glob("step-*"))[2:]:
        newest.unlink()  # so that there is something left to train
    lines = whole[: round(len(whole) * left)].count(b"\n")
    assert train(made, run).status == "succeeded"
    records = [*read_journal(run / "metrics.jsonl")]
    assert records[-1]["step"] == 10
    lost = [event for event in events(run) if event["event"] == "warning"]
    if left == 0:
        assert "journal is shorter" in lost[0]["message"]
        assert "journal is shorter" in capsys.readouterr().err
        assert [record["step"] for record in records] == [6, 8, 10, 10]
    else:
        assert lines
        assert comparable(run)[:lines] == [
            {k: v for k, v in json.loads(line).items() if k not in ("time", SPEED)}
            for line in whole.splitlines()[:lines]
        ]


def test_rewinding_keeps_whole_records_alone(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "metrics.jsonl")
    sizes = [0]
    for step in range(3):
        journal.log(step, 0, {"x": 1.0})
        sizes.append(journal.size)
    assert journal.rewind(sizes[2])
    assert journal.size == sizes[2]
    assert not journal.rewind(sizes[2] + 1)
    assert journal.size == sizes[2]
    assert not journal.rewind(sizes[2] - 1)
    assert journal.size == sizes[1]
    assert journal.rewind(0)
    assert not journal.rewind(10)
    journal.close()
    with closing(Journal.nowhere()) as nowhere:
        assert nowhere.rewind(10)


def test_the_journal_is_on_the_disk_before_a_checkpoint_refers_to_it(
    experiment: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file that is synchronised last before a checkpoint's own is the journal, at the size that it names."""
    synced: list[tuple[str, int]] = []
    fsync, save = os.fsync, Checkpoints.save

    def noted(descriptor: int) -> None:
        name = Path(f"/proc/self/fd/{descriptor}").readlink().name
        synced.append((name, os.fstat(descriptor).st_size))
        fsync(descriptor)

    def saved(self: Checkpoints, state: dict[str, Any], step: int) -> None:
        assert ("metrics.jsonl", state["progress"]["journal_bytes"]) == synced[-1]
        save(self, state, step)

    monkeypatch.setattr(os, "fsync", noted)
    monkeypatch.setattr(Checkpoints, "save", saved)
    assert train(experiment(), tmp_path / "run").status == "succeeded"
    assert any(name == "metrics.jsonl" for name, _ in synced)


@pytest.mark.parametrize("where", ["journal", "checkpoint", "predictions", "export"])
def test_a_full_disk_is_called_that_wherever_it_shows(
    where: str, experiment: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    places: dict[str, tuple[Any, str]] = {
        "journal": (Journal, "log"),
        "checkpoint": (Checkpoints, "save"),
        "predictions": (running, "_score"),
        "export": (VQAModel, "_write"),
    }
    made, run = experiment(), tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(*places[where], full)
        with pytest.raises(TrainingError, match="disk full — free some space"):
            train(made, run)
    result = json.loads((run / "result.json").read_text())
    assert result["status"] == "failed"
    assert "disk full" in result["error"]
    assert train(made, run).status == "succeeded"


def test_a_disk_that_takes_not_even_the_runs_end_hides_no_reason(
    experiment: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    made, run = experiment(), tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "save", full)
        patch.setattr(RunDirectory, "finish", full)
        with pytest.raises(TrainingError, match="disk full — free some space"):
            train(made, run)
    assert not (run / "result.json").exists()
    (run / ".result.json.0123abcd").touch()  # of a death
    assert train(made, run).status == "succeeded"
    assert not list(run.glob(".result*"))


def test_a_best_checkpoint_that_is_lost_is_said(
    experiment: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    best = Checkpoints.best

    def damaged(self: Checkpoints, step: int) -> Any:
        (tmp_path / "run" / "checkpoints" / "best.pt").write_bytes(b"")
        return best(self, step)

    monkeypatch.setattr(Checkpoints, "best", damaged)
    assert train(experiment(), tmp_path / "run").status == "succeeded"
    messages = [one["message"] for one in events(tmp_path / "run") if one["event"] == "warning"]
    assert messages == [
        "checkpoint best.pt is passed over: its contents do not match its manifest",
        "no checkpoint of the best weights can be trusted: the last are evaluated",
    ]


def test_a_short_validation_ends_before_the_run_stops(
    experiment: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has been timed: to leave it would lose the steps since the last checkpoint."""
    original, validations = Validation.accuracy, []

    def struck(self: Validation, *args: Any) -> float:
        validations.append(self)
        if len(validations) == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return original(self, *args)

    monkeypatch.setattr(Validation, "accuracy", struck)
    result = train(experiment(trainer={"max_epochs": 3, "accelerator": "cpu"}), tmp_path / "run")
    assert (result.status, result.fields["training"]["steps"]) == ("preempted", 10)
    assert (tmp_path / "run" / "checkpoints" / "step-000000010.json").exists()


def test_processes_vote_about_once_a_second_and_at_the_same_steps(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The pace of the slowest counts, so that a run of slow steps stops within its grace."""
    clock, slowest = [0.0], [0.0]

    def answer(status: str, own: float, device: torch.device) -> tuple[str, float]:
        assert device.type == "cpu"
        return status, max(own, slowest[0])

    monkeypatch.setattr(distributed.time, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(distributed, "_vote", answer)
    vote, last = Vote(7), 7
    assert vote.due == 8
    for a_step, others, distance in ((0.01, 0.0, 10), (0.2, 0.0, 5), (0.2, 0.45, 2), (30, 0.0, 1)):
        step = vote.due
        clock[0] += a_step * (step - last)
        slowest[0] = others
        assert vote.take(step, "preempted", torch.device("cpu")) == "preempted"
        assert vote.due == step + distance
        last = step
