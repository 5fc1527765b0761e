"""A whole group at once: cancel what has not ended, queue what failed again, say what it learns from."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from vqa.errors import JobError, RunError
from vqa.jobs.library import fingerprint_at
from vqa.jobs.queue import Filter
from vqa.jobs.record import TERMINAL, Job, State
from vqa.jobs.views import JobView
from vqa.training.directory import SUCCEEDED, RunDirectory

if TYPE_CHECKING:
    from vqa.jobs.local_service import LocalService

MOST_JOBS = 100_000
May = Callable[[Job], bool]
FAILED = frozenset({State.FAILED, State.LOST})


def jobs_of(service: LocalService, group: str) -> list[Job]:
    """The jobs of a group, in the order of submission.

    Raises:
        JobError: there is no such group.
    """
    found = service.queue.find(Filter(group=group), MOST_JOBS)
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


def cancel_group(service: LocalService, group: str, may: May) -> list[JobView]:
    """Have every job of a group ended that has not ended.

    Args:
        may: whether the caller may touch a job; others' stay as they are.

    Raises:
        JobError: there is no such group, or all of it is somebody else's.
    """
    return service.cancel_all(_own(filter(can_cancel, jobs_of(service, group)), may))


def retry_group(service: LocalService, group: str, may: May) -> list[JobView]:
    """Queue every job of a group again that failed or was lost; each goes on from its last checkpoint.

    Raises:
        JobError: see `cancel_group`; or there is no room for all of them.
    """
    return service.resume_all(_own(filter(can_retry, jobs_of(service, group)), may))


def data_of(service: LocalService, group: str) -> dict[str, str]:
    """The fingerprint of the data that each job of a group was trained on, or that stands at its store's path now.

    Returns:
        By the job's id; a job of which nobody can tell is left out.
    """
    now: dict[str, str | None] = {}
    found: dict[str, str] = {}
    for job in service.queue.find(Filter(group=group), MOST_JOBS):
        store = str(job.submission.experiment["data"]["store"])
        if store not in now:
            now[store] = fingerprint_at(Path(store))
        fingerprint = _learnt_from(service.home.run_dir(job.id)) or now[store]
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


def _own(jobs: Iterable[Job], may: May) -> list[Job]:
    """Those that the caller may touch."""
    found = list(jobs)
    mine = [job for job in found if may(job)]
    if found and not mine:
        raise JobError(
            f"these jobs are {found[0].submission.user}'s",
            fix="ask them, or use an admin's token",
            kind="forbidden",
        )
    return mine
