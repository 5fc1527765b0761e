"""What of run directories is kept: once a job has succeeded, and when somebody frees the disk."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

from vqa.jobs.home import Home
from vqa.jobs.queue import Queue
from vqa.jobs.record import TERMINAL, Filter, Job, State

DOOMED = ".deleting-"
Policy = Literal["all", "best", "none"]


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

        A directory is set aside while the queue forgets its job: one that somebody resumes in this moment is kept, and
        a death leaves no directory without a job or a mark. Such a one is left alone: after a loss of the queue it is
        all that is left.
        """
        queue = self._queue()
        for job in self._ended(wanted, TERMINAL):
            run = self.home.run_dir(job.id)
            if self.dry_run or queue.remove(job.id, partial(_set_aside, run)):
                yield Pruned(job.id, self._delete(run) + self._delete(_doomed(run)))
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
            _set_aside(path)
            shutil.rmtree(_doomed(path))
        return held


def _set_aside(path: Path) -> None:
    """Rename a directory that is to be deleted: half of one must not pass for a whole one."""
    if path.is_dir() and not path.is_symlink():
        path.rename(_doomed(path))


def _doomed(path: Path) -> Path:
    return path if path.name.startswith(DOOMED) else path.with_name(DOOMED + path.name)


def retain(run_dir: Path, policy: Policy) -> None:
    """Remove the checkpoints that a finished run keeps no longer; the exported model always stays.

    Args:
        run_dir: of a job that has succeeded: nothing goes on from it any more.
        policy: `all` keeps what training kept, `best` the best and the last, `none` nothing.
    """
    if policy == "all":
        return
    checkpoints = run_dir / "checkpoints"
    last = max((one.stem for one in checkpoints.glob("step-*.json")), default="")
    kept = {"best", last} if policy == "best" else set()
    for suffix in (".json", ".pt"):  # what has no manifest is no checkpoint
        for file in [*checkpoints.glob(f"step-*{suffix}"), checkpoints / f"best{suffix}"]:
            if file.stem not in kept:
                file.unlink(missing_ok=True)


def disk_use(path: Path) -> int:
    """Bytes that the files under a directory take; links are not followed."""
    total = 0
    for folder, _, files in os.walk(path):
        for name in files:
            try:
                total += (Path(folder) / name).lstat().st_blocks * 512
            except FileNotFoundError:  # a run goes on while this looks
                continue
    return total
