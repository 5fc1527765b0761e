"""Whether there is room for a job: the limits of its user, and the disk."""

from __future__ import annotations

import shutil
from contextlib import AbstractContextManager
from pathlib import Path

from vqa.errors import JobError
from vqa.jobs.home import Home
from vqa.jobs.locks import turn
from vqa.jobs.prune import disk_use
from vqa.jobs.queue import Queue
from vqa.jobs.record import ACTIVE, WAITING, Filter, Job

PRUNE = "`vqa jobs --prune` on the machine of the service removes"
"""A user of a server cannot do it."""
Life = tuple[str, int, int]


class Room:
    """Checks a submission against the quotas of a `VQA_HOME`."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._held: dict[str, dict[Life, int]] = {}

    def turn(self) -> AbstractContextManager[None]:
        """Entered by who checks until the job is queued: two, of whichever process, cannot take the last place."""
        return turn(self._home.quotas_lock)

    def check(self, queue: Queue, user: str, new: int) -> None:
        """Refuse `new` more jobs of a user for which there is no room.

        Raises:
            JobError: `quota` or `disk-full`, with the numbers.
        """
        quotas = self._home.settings.quotas
        free = shutil.disk_usage(self._home.path).free >> 20
        if free < quotas.min_free_mb:
            raise JobError(
                f"disk full: {free} MiB are free, a job needs {quotas.min_free_mb}",
                fix=f"{PRUNE} old runs",
                kind="disk-full",
            )
        if quotas.jobs_per_user:
            self._check_jobs(queue, user, new, quotas.jobs_per_user)
        if quotas.disk_mb_per_user:
            self._check_disk(queue, user, quotas.disk_mb_per_user)

    def _check_jobs(self, queue: Queue, user: str, new: int, limit: int) -> None:
        unfinished = queue.count(Filter(states=(*WAITING, *ACTIVE), user=user))
        count = sum(unfinished.values())
        if count + new > limit:
            raise JobError(
                f"{user} has {count} unfinished jobs, and {new} more would exceed {limit}",
                fix="wait for some, or cancel them"
                if new <= limit
                else f"submit {limit} at most at a time",
                kind="quota",
            )

    def _check_disk(self, queue: Queue, user: str, limit: int) -> None:
        used = self._disk_use(queue, user) >> 20
        if used >= limit:
            raise JobError(
                f"the runs of {user} take {used} MiB, of {limit} allowed",
                fix=f"{PRUNE} some",
                kind="quota",
            )

    def _disk_use(self, queue: Queue, user: str) -> int:
        """Bytes in a user's run directories; those of a job that has ended are counted once."""
        held, ended, running = self._held.get(user, {}), dict[Life, int](), 0
        for job in queue.each(Filter(user=user)):
            run_dir = self._home.run_dir(job.id)
            if job.terminal:
                life = _life(job, run_dir)
                ended[life] = held[life] if life in held else disk_use(run_dir)
            else:
                running += disk_use(run_dir)
        self._held[user] = ended
        return sum(ended.values()) + running


def _life(job: Job, run_dir: Path) -> Life:
    """Of a job that has ended: the same as long as what it has left is."""
    try:
        changed = (run_dir / "checkpoints").stat().st_mtime_ns  # somebody may have removed some
    except OSError:
        changed = 0
    return job.id, job.attempt, changed
