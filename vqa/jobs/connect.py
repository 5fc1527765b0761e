"""The service that commands talk to: this machine's own, or the one that `VQA_SERVER` names."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from typing_extensions import override

from vqa.jobs.demand import ensure_dispatcher
from vqa.jobs.home import Home
from vqa.jobs.local_service import LocalService
from vqa.jobs.paths import absolute
from vqa.jobs.queue import Filter
from vqa.jobs.record import TERMINAL
from vqa.jobs.service import Service
from vqa.jobs.views import JobDetail, JobPage, JobView, SubmitRequest

SERVER_VARIABLE, TOKEN_VARIABLE = "VQA_SERVER", "VQA_TOKEN_FILE"


def server() -> str | None:
    """What `VQA_SERVER` says; None where jobs run here."""
    return os.environ.get(SERVER_VARIABLE) or None


def connect() -> Service:
    """The service that the environment names.

    Raises:
        VQAError: `VQA_SERVER` is no address, or its token file is missing or open to others.
    """
    address = server()
    if address is None:
        return OwnService(Home.here().make())
    from vqa.jobs.remote import RemoteService, read_token

    named = os.environ.get(TOKEN_VARIABLE)
    file = Path(named).expanduser() if named else Home.here().path / "token"
    return RemoteService(address, read_token(file))


class OwnService(LocalService):
    """A user's own: whoever looks at unfinished work makes sure that somebody does it."""

    @override
    def submit_all(self, requests: Sequence[SubmitRequest]) -> list[JobView]:
        here = [r.model_copy(update={"experiment": absolute(r.experiment)}) for r in requests]
        return self._seen(super().submit_all(here))

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
    def cancel(self, job: str) -> JobView:
        return self._seen([super().cancel(job)])[0]

    @override
    def resume(self, job: str) -> JobView:
        return self._seen([super().resume(job)])[0]

    def _seen(self, jobs: list[JobView]) -> list[JobView]:
        if any(job.state not in TERMINAL for job in jobs):
            ensure_dispatcher(self.home)
        return jobs
