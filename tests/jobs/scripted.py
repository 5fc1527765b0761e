"""An engine that does as the test says, and what happens to the jobs on it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from vqa.jobs.dispatcher import Dispatcher
from vqa.jobs.engines.base import Capacity, Standing, Task
from vqa.jobs.heartbeat import Beat
from vqa.jobs.home import Home
from vqa.jobs.queue import Queue
from vqa.jobs.record import Job, Submission


class Scripted:
    """An engine whose tasks stand where the test puts them."""

    def __init__(self) -> None:
        self.tasks: dict[str, Task] = {}
        self.now: dict[str, Standing] = {}
        self.cancelled: list[tuple[str, bool]] = []
        self.room: Capacity | None = None
        self.fault: Exception | None = None

    def submit(self, task: Task) -> str:
        """Start, or find."""
        if self.fault is not None:
            raise self.fault
        self.tasks.setdefault(task.name, task)
        self.now.setdefault(task.name, Standing.RUNNING)
        return task.name

    def standings(self, handles: Sequence[str]) -> dict[str, Standing]:
        """As the test said."""
        return {handle: self.now.get(handle, Standing.ENDED) for handle in handles}

    def cancel(self, handle: str, *, force: bool) -> None:
        """Remember."""
        self.cancelled.append((handle, force))

    def logs(self, task: Task) -> list[Path]:
        """None."""
        return []

    def capacity(self) -> Capacity | None:
        """As the test said."""
        return self.room


def beat(home: Home, job: Job, count: int) -> None:
    """The runner's sign of life."""
    folder = home.run_dir(job.id) / "heartbeats"
    folder.mkdir(exist_ok=True)
    sign = Beat(job.id, job.attempt, 0, "host", 1, 1.0, count, 0.0)
    (folder / "0.json").write_text(json.dumps(asdict(sign)))


def finish(home: Home, engine: Scripted, job: Job, status: str | None, **fields: object) -> None:
    """The task ends, with or without a result."""
    if status is not None:
        result = {"status": status, "job": job.id, "attempt": job.attempt, **fields}
        (home.run_dir(job.id) / "result.json").write_text(json.dumps(result))
    engine.now[f"vqa-{job.id}-{job.attempt}"] = Standing.ENDED


def started(queue: Queue, dispatcher: Dispatcher, wanted: Submission) -> Job:
    """A job that the dispatcher has met."""
    job = queue.submit(wanted)[0]
    dispatcher.step()
    return queue.get(job.id)


def states(queue: Queue, job: Job) -> list[str]:
    """All that it has been, in order."""
    return [change.state.value for change in queue.history(job.id)]
