"""A user's own service on this machine, which needs no server: whoever looks at unfinished work has it done."""

from __future__ import annotations

import os
from collections.abc import Sequence

from typing_extensions import override

from vqa.jobs.demand import ensure_dispatcher
from vqa.jobs.local_service import LocalService
from vqa.jobs.queue import Filter
from vqa.jobs.record import TERMINAL, Job
from vqa.jobs.views import JobDetail, JobPage, JobView, SubmitRequest


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
