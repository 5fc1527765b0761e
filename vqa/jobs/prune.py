"""Free the disk of what ended jobs have left behind."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from vqa.jobs.home import Home
from vqa.jobs.queue import Filter, Queue
from vqa.jobs.record import TERMINAL, Job, State
from vqa.jobs.retention import disk_use

DOOMED = ".deleting-"


@dataclass(frozen=True)
class Pruned:
    """What was deleted of one job, or would be.

    Attributes:
        job: its id.
        bytes: what that freed.
    """

    job: str
    bytes: int


@dataclass(frozen=True)
class Pruner:
    """Deletes; never of a job that has not ended.

    Attributes:
        older_than: only of jobs that ended at least so many seconds ago.
        dry_run: only say what would be deleted.
    """

    home: Home
    older_than: float = 0.0
    dry_run: bool = False

    def checkpoints(self, wanted: Filter) -> Iterator[Pruned]:
        """Delete the checkpoints of jobs that have succeeded: nothing goes on from them any more."""
        for job in self._ended(wanted, frozenset({State.SUCCEEDED})):
            checkpoints = self.home.run_dir(job.id) / "checkpoints"
            left = checkpoints.with_name(DOOMED + checkpoints.name)  # by a call that was killed
            freed = self._delete(left) + self._delete(checkpoints)
            if freed:
                yield Pruned(job.id, freed)

    def runs(self, wanted: Filter) -> Iterator[Pruned]:
        """Forget ended jobs and delete their run directories.

        The queue forgets first, so that a job that somebody resumes in this moment is kept. A directory without a
        job is left alone unless an earlier call was deleting it: after a loss of the queue it is all that is left.
        """
        queue = self._queue()
        for job in self._ended(wanted, TERMINAL):
            if self.dry_run or queue.remove(job.id):
                yield Pruned(job.id, self._delete(self.home.run_dir(job.id)))
        for path in self.home.runs.glob(f"{DOOMED}*"):
            yield Pruned(path.name.removeprefix(DOOMED), self._delete(path))

    def _queue(self) -> Queue:
        return Queue(self.home.queue_file)

    def _ended(self, wanted: Filter, states: frozenset[State]) -> Iterator[Job]:
        """Jobs of the filter that are in these states for long enough, newest first."""
        allowed = states if wanted.states is None else states & set(wanted.states)
        latest = time.time() - self.older_than
        for job in self._queue().each(replace(wanted, states=tuple(allowed))):
            if job.ended is not None and job.ended <= latest:
                yield job

    def _delete(self, path: Path) -> int:
        """Remove a directory, without following links; the bytes that it held."""
        if path.is_symlink() or not path.is_dir():
            return 0
        held = disk_use(path)
        if not self.dry_run:
            doomed = path if path.name.startswith(DOOMED) else path.with_name(DOOMED + path.name)
            path.rename(doomed)  # half a directory must not pass for a whole one
            shutil.rmtree(doomed)
        return held
