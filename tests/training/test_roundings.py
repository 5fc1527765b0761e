"""A run that goes on with other roundings than it was computed with so far says so in that moment."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from vqa.config import Experiment
from vqa.training.directory import RunDirectory
from vqa.training.loop import RunLoop
from vqa.training.remarks import changes, roundings
from vqa.training.run import train


class Death(BaseException):
    """Ends a run as a kill does."""


@pytest.fixture
def begun(
    experiment: Callable[..., Experiment], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Experiment, RunDirectory]:
    """An experiment of three steps, with a checkpoint at each, and its run, which died at the third."""
    made = experiment(trainer={"max_steps": 3, "checkpoint_every_n_steps": 1})
    original = RunLoop.on_train_batch_end

    def hook(self: RunLoop, *args: Any) -> None:
        if self.progress.batches == 2:
            raise Death
        original(self, *args)

    with monkeypatch.context() as patch:
        patch.setattr(RunLoop, "on_train_batch_end", hook)
        with pytest.raises(Death):
            train(made, tmp_path / "run")
    return made, RunDirectory(tmp_path / "run")


def warnings(run: RunDirectory) -> list[str]:
    """What was said as it went on."""
    events = [json.loads(line) for line in (run.path / "events.jsonl").read_text().splitlines()]
    later = events[[event["event"] for event in events].index("resumed") :]
    return [event["message"] for event in later if event["event"] == "warning"]


def rewrite(run: RunDirectory, change: Callable[[dict[str, Any]], object]) -> None:
    """Change what the first life said as it began."""
    file = run.path / "events.jsonl"
    events = [json.loads(line) for line in file.read_text().splitlines()]
    change(next(event for event in events if event["event"] == "started"))
    file.write_text("".join(json.dumps(event) + "\n" for event in events))


def test_nothing_is_said_where_all_is_as_it_was(begun: tuple[Experiment, RunDirectory]) -> None:
    made, run = begun
    assert run.roundings() == roundings(torch.device("cpu"))
    train(made, run.path)
    assert warnings(run) == []


def test_another_torch_is_told_with_both_versions(
    begun: tuple[Experiment, RunDirectory], capsys: pytest.CaptureFixture[str]
) -> None:
    made, run = begun
    rewrite(run, lambda started: started["roundings"].update(torch="1.0"))
    train(made, run.path)
    [said] = warnings(run)
    assert f"(torch {torch.__version__}, before 1.0): its weights may differ" in said
    assert said in capsys.readouterr().err
    train(made, run.path)
    assert len(warnings(run)) == 1


def test_a_run_of_an_older_program_is_told_as_such(begun: tuple[Experiment, RunDirectory]) -> None:
    made, run = begun
    rewrite(run, lambda started: started.pop("roundings"))
    train(made, run.path)
    [said] = warnings(run)
    assert "an older program computed it so far" in said


def test_another_number_of_threads_is_another_device() -> None:
    before = roundings(torch.device("cpu"))
    threads = torch.get_num_threads()
    torch.set_num_threads(threads + 1)
    try:
        [said] = changes(before, roundings(torch.device("cpu")))
    finally:
        torch.set_num_threads(threads)
    assert f"threads: {threads + 1}), before CPU" in said
    assert "torch" not in said
