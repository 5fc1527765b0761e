"""Jobs as detached processes of this machine: they outlive the program that started them."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import psutil

from vqa.errors import EngineError
from vqa.jobs.engines.base import ATTEMPT_VARIABLE, Capacity, Standing, Task
from vqa.jobs.engines.gpus import local_capacity
from vqa.jobs.processes import is_alive, processes_of, start_time, sweep
from vqa.jobs.settings import LocalSettings
from vqa.training.process import GPU_SHARE_VARIABLE

SHARED = 0.9
"""Of a GPU's memory that jobs divide."""


class Handle(NamedTuple):
    """A task's first process; the time it started tells it from a later one with the same number."""

    job: str
    attempt: int
    pid: int
    started: float

    @classmethod
    def parse(cls, text: str) -> Handle:
        """Read what `str` wrote."""
        job, attempt, pid, started = text.split(":")
        return cls(job, int(attempt), int(pid), float(started))

    def __str__(self) -> str:
        return f"{self.job}:{self.attempt}:{self.pid}:{self.started!r}"


@dataclass
class LocalEngine:
    """See `Engine`. GPUs are handed out by the dispatcher; a task sees those alone that it was given.

    Attributes:
        settings: what jobs may use together.
    """

    settings: LocalSettings

    def submit(self, task: Task) -> str:
        """Start the task in a session of its own, or find it where it was started before."""
        return str(self._find(task) or self._start(task))

    def standings(self, handles: Sequence[str]) -> dict[str, Standing]:
        """Running while its first process lives; what that left behind is killed, and gone before it has ended."""
        return {handle: self._standing(Handle.parse(handle)) for handle in handles}

    def cancel(self, handle: str, *, force: bool) -> None:
        """TERM to the first process, or KILL to all of them."""
        task = Handle.parse(handle)
        if force:
            sweep(task.job)
        elif is_alive(task.pid, task.started):
            _signal(task.pid, signal.SIGTERM)

    def logs(self, task: Task) -> list[Path]:
        """What the runner said before it had a log of its own."""
        return [_log_file(task)]

    def capacity(self) -> Capacity:
        """As the settings say, or all there is."""
        return local_capacity(self.settings)

    def _start(self, task: Task) -> Handle:
        log = _log_file(task)
        log.parent.mkdir(exist_ok=True)
        try:
            with log.open("ab") as output:
                child = subprocess.Popen(
                    task.command,
                    env=os.environ | task.environment() | self._share(task),
                    cwd=task.run_dir,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                )
        except OSError as error:
            raise EngineError(f"cannot be started ({error})", where=task.name) from error
        threading.Thread(target=child.wait, daemon=True).start()  # or it would stay a zombie
        return Handle(task.job, task.attempt, child.pid, start_time(child.pid) or 0.0)

    def _share(self, task: Task) -> dict[str, str]:
        """How much of its GPU's memory a task may take: what processes hold beside their tensors is left to them."""
        jobs = self.settings.jobs_per_gpu if task.resources.gpus == 1 else 1
        return {GPU_SHARE_VARIABLE: f"{1.0 if jobs == 1 else SHARED / jobs:.6f}"}

    def _find(self, task: Task) -> Handle | None:
        """The first process of this attempt, which leads its session."""
        for process in processes_of(task.job):
            started = start_time(process.pid)
            if started is not None and _leads(process, task):
                return Handle(task.job, task.attempt, process.pid, started)
        return None

    def _standing(self, task: Handle) -> Standing:
        if is_alive(task.pid, task.started):
            return Standing.RUNNING
        try:
            sweep(task.job)
        except TimeoutError:
            return Standing.RUNNING
        return Standing.ENDED


def _leads(process: psutil.Process, task: Task) -> bool:
    """Whether this is the task's first process: its attempt's, at the head of a session."""
    try:
        attempt = process.environ().get(ATTEMPT_VARIABLE)
        return attempt == str(task.attempt) and os.getsid(process.pid) == process.pid
    except (OSError, psutil.Error):
        return False


def _log_file(task: Task) -> Path:
    return task.run_dir / "logs" / "engine.log"


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
