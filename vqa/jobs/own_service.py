"""A user's own service on this machine, which needs no server: whoever looks at unfinished work has it done, by a
dispatcher that is started where there is work and none runs."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence

from typing_extensions import override

from vqa.jobs.home import Home
from vqa.jobs.local_service import LocalService
from vqa.jobs.locks import Lock
from vqa.jobs.record import TERMINAL, Filter, Job
from vqa.jobs.views import JobDetail, JobPage, JobView, SubmitRequest

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE)


class OwnService(LocalService):
    """A `LocalService` that starts a dispatcher where a job has not ended and none runs."""

    @override
    def submit_all(self, requests: Sequence[SubmitRequest]) -> list[JobView]:
        return self._seen(super().submit_all(requests))

    @override
    def jobs(self, wanted: Filter, limit: int = 100) -> JobPage:
        page = super().jobs(wanted, limit)
        self._seen(page.jobs)
        return page

    @override
    def show(self, job: str) -> JobDetail:
        detail = super().show(job)
        self._seen([detail.job])
        return detail

    @override
    def cancel_all(self, jobs: Sequence[Job]) -> list[JobView]:
        return self._seen(super().cancel_all(jobs))

    @override
    def resume(self, job: str) -> JobView:
        return self._seen([super().resume(job)])[0]

    @override
    def resume_all(self, jobs: Sequence[Job]) -> list[JobView]:
        return self._seen(super().resume_all(jobs))

    def _seen(self, jobs: list[JobView]) -> list[JobView]:
        may_write = os.access(self.home.path, os.W_OK)  # else it is looked at, as in a backup
        if may_write and any(job.state not in TERMINAL for job in jobs):
            # What a dispatcher could not read is said here, and not in its log alone.
            _ = self.home.settings
            ensure_dispatcher(self.home)
        return jobs


def ensure_dispatcher(home: Home) -> bool:
    """Start a dispatcher where none runs, in a session of its own; says whether it did.

    It is given the lock at its birth, so that of many calls, at once or before it has loaded, one alone starts one. A
    dispatcher that is about to end looks at the queue once more after it has let go of the lock, so that a job that
    was committed before this call is always seen.
    """
    lock = Lock(home.dispatcher_lock)
    if not lock.take():
        return False
    try:
        _start(home, lock.descriptor)
    finally:
        lock.release()
    return True


def _start(home: Home, lock: int) -> None:
    """A dispatcher that holds the lock of this descriptor."""
    # Another number, under which it stays open, and none that is taken below.
    given = max(lock, 2) + 1
    log, append = str(home.dispatcher_log), os.O_WRONLY | os.O_CREAT | os.O_APPEND
    os.posix_spawn(
        sys.executable,
        [sys.executable, "-m", "vqa.jobs.dispatcher", str(given)],
        _environment(home),
        file_actions=[
            (os.POSIX_SPAWN_DUP2, lock, given),
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, log, append, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
        setsigmask=(),
        setsigdef=SIGNALS,
    )


def _environment(home: Home) -> dict[str, str]:
    """This process's, for this home; a file where somebody submits must not pass for a module."""
    return {**os.environ, "VQA_HOME": str(home.path), "PYTHONSAFEPATH": "1"}
