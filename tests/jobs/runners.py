"""Runners as engines start them: jobs of a tiny experiment, and waiting for what becomes of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from vqa.config import Experiment
from vqa.jobs.engines.base import ATTEMPT_VARIABLE, GRACE_VARIABLE, JOB_VARIABLE
from vqa.jobs.processes import processes_of
from vqa.tracking.journal import read_journal
from vqa.training.directory import RunDirectory

Make = Callable[..., Experiment]
Process = subprocess.Popen[str]
LONG: dict[str, Any] = {
    "max_epochs": 100,
    "checkpoint_every_n_steps": 7,
    "log_every_n_steps": 5,
    "accelerator": "cpu",
}


class Job:
    """A run directory and the processes that tests start on it."""

    def __init__(self, path: Path, experiment: Experiment) -> None:
        self.run, self.id = RunDirectory(path), f"test-{path.parent.name}-{os.getpid()}"
        self.run.create(experiment)
        self.attempt, self._started = 0, list[Process]()

    def start(self, node: int = 0, *, grace: float = 30, **variables: str) -> Process:
        """Start a runner."""
        self.attempt += node == 0
        given = {
            JOB_VARIABLE: self.id,
            ATTEMPT_VARIABLE: str(self.attempt),
            GRACE_VARIABLE: str(grace),
            "NODE_RANK": str(node),
            "OMP_NUM_THREADS": "1",
            "CUDA_VISIBLE_DEVICES": "",
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "vqa.jobs.runner", str(self.run.path)],
            env=os.environ | given | variables,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._started.append(process)
        return process

    def end(self) -> None:
        for process in self._started:
            process.kill()
            process.communicate()
        for one in self.processes():
            one.kill()

    def processes(self) -> list[psutil.Process]:
        return processes_of(self.id)

    def ranks(self) -> dict[int, psutil.Process]:
        found = {}
        for process in self.processes():
            if "vqa.training.rank" in process.cmdline():
                found[int(process.environ()["RANK"])] = process
        return found

    def wait_for(self, what: Callable[[], object], process: Process) -> None:
        deadline = time.monotonic() + 150
        while not what():
            assert process.poll() is None, self.logs()
            assert time.monotonic() < deadline, self.logs()
            time.sleep(0.01)

    def wait_for_step(self, step: int, process: Process) -> None:
        self.wait_for(
            lambda: any(one["step"] >= step for one in read_journal(self.run.journal_file)), process
        )

    def assert_gone(self, seconds: float = 2.0) -> None:
        """No process of the job is left, or none soon."""
        deadline = time.monotonic() + seconds
        while left := self.processes():
            assert time.monotonic() < deadline, left
            time.sleep(0.01)

    def result(self) -> dict[str, Any]:
        result = self.run.result()
        assert result is not None, self.logs()
        assert (result["job"], result["attempt"]) == (self.id, self.attempt)
        return result

    def events(self) -> list[dict[str, Any]]:
        """What happened; the memory plan is no happening."""
        lines = (self.run.path / "events.jsonl").read_text().splitlines()
        return [event for line in lines if (event := json.loads(line))["event"] != "memory"]

    def names(self) -> list[str]:
        return [event["event"] for event in self.events()]

    def logs(self) -> str:
        files = sorted((self.run.path / "logs").glob("*.log"))
        return "\n".join(f"{file.name}:\n{file.read_text()}" for file in files)


def finish(process: Process, seconds: float = 150) -> int:
    """Wait for a runner's end; its exit status."""
    process.communicate(timeout=seconds)
    return process.returncode
