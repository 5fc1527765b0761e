"""What a training service does, whether it runs in this process or behind HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from vqa.jobs.record import Filter
from vqa.jobs.views import (
    Chunk,
    GroupView,
    JobDetail,
    JobPage,
    JobView,
    ScoreView,
    StoreView,
    SubmitRequest,
)


class Service(Protocol):
    """Submit, look, cancel, resume. `LocalService` works on `VQA_HOME`, `RemoteService` talks to `vqa serve`.

    Every method raises `JobError` for a job that is not there or in the wrong state, and `VQAError` otherwise.
    """

    @property
    def user(self) -> str:
        """Whose jobs it submits."""
        ...

    def submit(self, request: SubmitRequest) -> JobView:
        """Check an experiment in full and queue it; it is on the disk before this returns."""
        ...

    def submit_all(self, requests: Sequence[SubmitRequest]) -> list[JobView]:
        """Several at once, all or none."""
        ...

    def jobs(self, wanted: Filter, limit: int = 100) -> JobPage:
        """Jobs, newest first."""
        ...

    def show(self, job: str) -> JobDetail:
        """All that is known of a job."""
        ...

    def log(self, job: str, name: str = "rank0.log", offset: int = 0) -> Chunk:
        """What a log file holds from `offset` on; a negative offset counts from its end. `metrics` is the journal."""
        ...

    def cancel(self, job: str) -> JobView:
        """Have a job ended."""
        ...

    def resume(self, job: str) -> JobView:
        """Queue an ended, unfinished job again; it goes on from its last checkpoint."""
        ...

    def cancel_group(self, group: str) -> list[JobView]:
        """Have every job of a group ended that has not ended; gives those, and leaves other people's alone."""
        ...

    def retry_group(self, group: str) -> list[JobView]:
        """Queue every job of a group again that failed or was lost; gives those, and leaves other people's alone."""
        ...

    def scores(self, wanted: Filter) -> list[ScoreView]:
        """The best score of each user among some jobs; see `vqa.jobs.scores`."""
        ...

    def groups(self) -> list[GroupView]:
        """Groups, newest first."""
        ...

    def fingerprint(self, store: str) -> str | None:
        """Of the store that a submission would mean by this name or path; None where there is none."""
        ...

    def data_of_group(self, group: str) -> dict[str, str]:
        """By job of a group, the fingerprint of the data that it was trained on, or would be now; known ones alone."""
        ...

    def stores(self) -> list[StoreView]:
        """Stores that a submission may name."""
        ...
