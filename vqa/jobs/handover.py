"""How jobs are handed to engines: which together, with what in their run directories, and what of those refused."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

from vqa.config import parse_experiment
from vqa.errors import EngineError, VQAError
from vqa.jobs.engines.base import ArrayEngine, Engine, Task
from vqa.jobs.home import Home
from vqa.jobs.outcome import mark_cancelled
from vqa.jobs.patience import Absences, passes
from vqa.jobs.queue import Queue
from vqa.jobs.record import Job, State
from vqa.training.directory import RunDirectory
from vqa.training.disk import write_atomic

log = logging.getLogger(__name__)
RETRY_SECONDS = 10.0
"""Time between two tries to reach an engine that did not answer."""

ARRAYS = {"slurm": 1000}
"""Engines that take many jobs by one call, and how many are looked at for that (Slurm's own limit is 1001)."""


def batches(jobs: Iterable[Job]) -> list[list[Job]]:
    """Jobs that are handed over together, in the order of the first of each: of one group, with equal needs.

    Where the engine takes no arrays, each alone, so that none overtakes another.
    """
    found: dict[tuple[object, ...], list[Job]] = {}
    for job in jobs:
        wanted = job.submission
        alone = wanted.group is None or wanted.resources.nodes > 1 or wanted.engine not in ARRAYS
        key = (wanted.engine, job.id if alone else wanted.group, wanted.priority, wanted.resources)
        found.setdefault(key, []).append(job)
    return list(found.values())


class Handover:
    """Gives claimed jobs to their engines.

    Args:
        home, queue: of the jobs.
    """

    def __init__(self, home: Home, queue: Queue) -> None:
        self._home, self._queue, self._absences = home, queue, Absences()

    def away(self, engine: str) -> EngineError | None:
        """What an engine last said that did not answer; None where it may be asked."""
        return self._absences.of(engine)

    def give(self, engine: Engine, jobs: Sequence[Job]) -> None:
        """Give claimed jobs to their engine; whatever of that was done before is found, not done again.

        Together where the engine takes arrays; where it takes no such one, fewer at a time.
        """
        away = self.away(jobs[0].submission.engine) if jobs else None
        if away is not None:
            self._put_off(jobs, away)
            return
        ready = [(job, task) for job in jobs if (task := self._prepared(job)) is not None]
        most = len(ready) if isinstance(engine, ArrayEngine) else 1
        while ready:
            some = ready[:most]
            try:
                handles = _submitted(engine, [task for _, task in some])
            except (VQAError, OSError) as error:
                if isinstance(error, EngineError) and error.temporary:
                    self._absences.note(jobs[0].submission.engine, error, RETRY_SECONDS)
                    self._put_off([job for job, _ in ready], error)
                    return
                if len(some) > 1:
                    most = len(some) // 2
                    continue
                self._refused(some[0][0], error)
            else:
                for (job, _), handle in zip(some, handles, strict=True):
                    self._queue.set_handle(job, handle)
            ready = ready[most:]

    def _put_off(self, jobs: Sequence[Job], error: EngineError) -> None:
        """Their engine is away: they are handed over later, but for those that nobody wants any more."""
        for job in jobs:
            if job.cancel_requested:
                self._refused(job, error)
            else:
                self.complain(job, error)

    def _prepared(self, job: Job) -> Task | None:
        try:
            return self._prepare(job)
        except (VQAError, OSError) as error:
            self._refused(job, error)
            return None

    def _refused(self, job: Job, error: Exception) -> None:
        """A job that could not be started has failed, is cancelled where that was wanted, or waits for the machine."""
        self.complain(job, error)
        if job.cancel_requested:  # should it run all the same, its runner finds this result
            self._queue.move(job, State.CANCELLED, mark_cancelled(self._home.run_dir(job.id), job))
        elif not passes(error):
            self._queue.move(job, State.FAILED, str(error))

    def _prepare(self, job: Job) -> Task:
        """The run directory with its experiment, and the task that runs there."""
        run = RunDirectory(self._home.run_dir(job.id))
        run.path.mkdir(exist_ok=True)
        if not run.experiment_file.exists():
            write_atomic(run.experiment_file, parse_experiment(job.submission.experiment).to_yaml())
        marker = self._home.cancel_marker(job.id)
        if job.cancel_requested:
            marker.touch()
        else:
            marker.unlink(missing_ok=True)
        needs, grace = job.submission.resources, self._home.settings.grace_seconds
        return Task(job.id, job.attempt, run.path, needs, job.gpus, grace)

    def complain(self, job: Job, error: Exception) -> None:
        """Say it where people look: at the job, and in the log; once where it stays the same."""
        if str(error) == job.reason:
            return
        self._queue.note([(job, str(error))])
        log.warning("job %s: %s", job.id, error)


def _submitted(engine: Engine, tasks: Sequence[Task]) -> list[str]:
    """Their handles; an array of one is none."""
    if len(tasks) > 1 and isinstance(engine, ArrayEngine):
        return engine.submit_array(tasks)
    return [engine.submit(task) for task in tasks]
