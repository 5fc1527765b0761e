"""A queue of one's own for tests of commands, with jobs in every state and nobody to run them."""

from __future__ import annotations

import fcntl
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from vqa.cli import main
from vqa.config import Experiment
from vqa.jobs.home import Home
from vqa.jobs.queue import Queue
from vqa.jobs.record import Job, State, Submission


@dataclass(frozen=True)
class Said:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it printed, as JSON."""
        return json.loads(self.out)


Command = Callable[..., Said]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs a command in this process."""

    def call(*words: object) -> Said:
        code = main([str(word) for word in words])
        captured = capsys.readouterr()
        return Said(code, captured.out, captured.err)

    return call


@pytest.fixture
def vqa_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """An empty `VQA_HOME`, which commands use."""
    home = Home(tmp_path / "home").make()
    (home.path / "settings.yaml").write_text("poll_seconds: 0.05\nquotas: {min_free_mb: 0}\n")
    monkeypatch.setenv("VQA_HOME", str(home.path))
    for name in ("VQA_SERVER", "VQA_TOKEN_FILE", "VQA_ALLOW_HTTP"):
        monkeypatch.delenv(name, raising=False)
    return home


@pytest.fixture
def still(vqa_home: Home) -> Iterator[Home]:
    """The same, with the dispatcher's lock held, so that jobs stay where they are put."""
    with vqa_home.dispatcher_lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield vqa_home


@dataclass(frozen=True)
class Jobs:
    """Puts jobs into a queue, as an engine would have left them."""

    home: Home
    queue: Queue
    experiment: dict[str, Any]

    def queued(self, **fields: Any) -> Job:
        chosen = {"user": "ada", "name": "tiny", "experiment": self.experiment, **fields}
        return self.queue.submit(Submission(**chosen))[0]

    def running(self, steps: int = 100, step: int = 40, **fields: Any) -> Job:
        """A job in its first attempt, with a journal and a log."""
        claimed = self.queue.claim(self.queued(**fields))
        assert claimed
        running = self.queue.move(claimed, State.RUNNING)
        assert running
        self._began(running, steps, step)
        return running

    def ended(self, state: State, reason: str = "", **fields: Any) -> Job:
        job = self.running(**fields)
        if state is State.SUCCEEDED:
            result = {"status": "succeeded", "protocol": "exact/1", "overall": 81.25, "n": 40}
            result |= {"split": "test", "job": job.id, "attempt": 1}
            self._write(job, "result.json", json.dumps(result))
        moved = self.queue.move(job, state, reason)
        assert moved
        return moved

    def log(self, job: Job, text: str, name: str = "rank0.log") -> None:
        """Append to a log."""
        with (self.home.run_dir(job.id) / "logs" / name).open("a", encoding="utf-8") as file:
            file.write(text)

    def _began(self, job: Job, steps: int, step: int) -> None:
        now = time.time()
        started = {"time": now - 10, "event": "started", "step": 0, "steps": steps, "pid": 1}
        self._write(job, "events.jsonl", json.dumps(started) + "\n")
        figures = {"train/loss": 0.5, "train/questions_per_second": 1234.0}
        record = {"step": step, "epoch": 1, "time": now, **figures}
        seen = {"step": step, "epoch": 1, "time": now, "val/accuracy": 61.5}
        self._write(job, "metrics.jsonl", f"{json.dumps(record)}\n{json.dumps(seen)}\n")
        self._write(job, "logs/rank0.log", "epoch 1\n")
        beat = {"job": job.id, "attempt": job.attempt, "node": 0, "beat": 3, "time": now}
        self._write(job, "heartbeats/0.json", json.dumps(beat))

    def _write(self, job: Job, name: str, text: str) -> None:
        file = self.home.run_dir(job.id) / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")


@pytest.fixture
def jobs(still: Home, experiment: Callable[..., Experiment]) -> Jobs:
    """Jobs of the tiny experiment in a queue that stands still."""
    return Jobs(still, Queue(still.queue_file), experiment().to_dict())


@pytest.fixture
def config(tmp_path: Path, experiment: Callable[..., Experiment]) -> Path:
    """The tiny experiment as a file."""
    file = tmp_path / "experiment.yaml"
    file.write_text(experiment().to_yaml())
    return file
