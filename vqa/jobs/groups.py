"""A whole group at once: its jobs, those that can be cancelled or queued again, and what each learns from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from vqa.errors import JobError, RunError
from vqa.jobs.home import Home
from vqa.jobs.library import fingerprint_at
from vqa.jobs.queue import Queue
from vqa.jobs.record import TERMINAL, Filter, Job, State
from vqa.training.directory import SUCCEEDED, RunDirectory

May = Callable[[Job], bool]
FAILED = frozenset({State.FAILED, State.LOST})


def jobs_of(queue: Queue, group: str) -> list[Job]:
    """The jobs of a group, in the order of submission.

    Raises:
        JobError: there is no such group.
    """
    found = [*queue.each(Filter(group=group))]
    if not found:
        raise JobError(f"no group {group!r}", fix="see the list of ablations", kind="not-found")
    return found[::-1]


def anyone(job: Job) -> bool:
    """On a machine of one's own everybody may touch every job."""
    return True


def can_cancel(job: Job) -> bool:
    """Whether it goes on and nobody has asked for its end."""
    return job.state not in TERMINAL and not job.cancel_requested


def can_retry(job: Job) -> bool:
    """Whether it ended badly, and not because somebody wanted that."""
    return job.state in FAILED


def own_jobs(queue: Queue, group: str, can: May, may: May) -> list[Job]:
    """The jobs of a group to which something can be done.

    Args:
        can: whether it can be done to a job.
        may: whether the caller may touch a job; others' stay as they are.

    Raises:
        JobError: there is no such group, or all of these are somebody else's.
    """
    found = [job for job in jobs_of(queue, group) if can(job)]
    mine = [job for job in found if may(job)]
    if found and not mine:
        raise JobError(
            f"these jobs are {found[0].submission.user}'s",
            fix="ask them, or use an admin's token",
            kind="forbidden",
        )
    return mine


def data_of(queue: Queue, home: Home, group: str) -> dict[str, str]:
    """The fingerprint of the data that each job of a group was trained on, or that stands at its store's path now.

    Returns:
        By the job's id; a job of which nobody can tell is left out.
    """
    now: dict[str, str | None] = {}
    found: dict[str, str] = {}
    for job in queue.each(Filter(group=group)):
        store = str(job.submission.experiment["data"]["store"])
        if store not in now:
            now[store] = fingerprint_at(Path(store))
        fingerprint = _learnt_from(home.run_dir(job.id)) or now[store]
        if fingerprint is not None:
            found[job.id] = fingerprint
    return found


def _learnt_from(run_dir: Path) -> str | None:
    """What a run that succeeded wrote down; one that failed is trained on what is there when it is tried again."""
    try:
        result = RunDirectory(run_dir).result() or {}
    except RunError:
        return None
    return result.get("data_fingerprint") if result.get("status") == SUCCEEDED else None
