"""Jobs: submit, list, look, cancel, resume; and the groups and stores beside them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from vqa.jobs.record import EngineName, Filter, State
from vqa.jobs.scores import to_csv
from vqa.jobs.views import (
    GroupView,
    JobDetail,
    JobPage,
    JobView,
    Name,
    ScoreView,
    StoreView,
    SubmitRequest,
)
from vqa.server.api.dependencies import Caller, JobId, Reader, Submitter

MOST_AT_ONCE = 500
router = APIRouter(tags=["jobs"])


class Batch(BaseModel):
    """Several experiments, all of which are queued or none."""

    model_config = ConfigDict(extra="forbid")

    jobs: list[SubmitRequest] = Field(min_length=1, max_length=MOST_AT_ONCE)


class Wanted(BaseModel):
    """Which jobs to list.

    Attributes:
        state: in any of these.
        prefix: whose id begins so.
        before: the `next` of the page before.
    """

    model_config = ConfigDict(extra="forbid")

    state: list[State] = Field(default=[], max_length=len(State))
    group: Name | None = None
    user: Name | None = None
    engine: EngineName | None = None
    prefix: Name | None = None
    before: int | None = Field(default=None, ge=1, lt=1 << 53)
    limit: int = Field(default=100, ge=1, le=1000)

    def to_filter(self) -> Filter:
        """The same as the queue takes it."""
        fields = self.model_dump(exclude={"state", "limit"})
        return Filter(states=tuple(self.state) or None, **fields)


@router.post("/jobs", status_code=201)
def submit(request: SubmitRequest, caller: Submitter) -> JobView:
    """Check an experiment in full and queue it. Under a `key` that was used before it answers with that job."""
    return caller.service.submit(request)


@router.post("/jobs/batch", status_code=201)
def submit_all(batch: Batch, caller: Submitter) -> list[JobView]:
    """Queue several experiments, all or none."""
    return caller.service.submit_all(batch.jobs)


@router.get("/jobs")
def list_jobs(wanted: Annotated[Wanted, Query()], caller: Reader) -> JobPage:
    """Jobs, newest first."""
    return caller.service.jobs(wanted.to_filter(), wanted.limit)


@router.get("/jobs/{job}")
def show(job: JobId, caller: Reader) -> JobDetail:
    """All that is known of a job."""
    return caller.service.show(job)


@router.post("/jobs/{job}/cancel")
def cancel(job: JobId, caller: Submitter) -> JobView:
    """Have a job ended: at once where it waits, after a grace where it runs."""
    caller.check_may_touch(job)
    return caller.service.cancel(job)


@router.post("/jobs/{job}/resume")
def resume(job: JobId, caller: Submitter) -> JobView:
    """Queue an ended, unfinished job again."""
    caller.check_may_touch(job)
    return caller.service.resume(job)


@router.get("/jobs/{job}/result")
def result(job: JobId, caller: Reader) -> dict[str, Any]:
    """What `result.json` says of how a job ended."""
    return caller.service.result(job)


class Scored(BaseModel):
    """Whose scores, and in which form."""

    model_config = ConfigDict(extra="forbid")

    group: Name | None = None
    user: Name | None = None
    form: Literal["json", "csv"] = "json"

    def of(self, caller: Caller) -> list[ScoreView]:
        """The best score of each user."""
        return caller.service.scores(Filter(group=self.group, user=self.user))


@router.get(
    "/scores",
    response_model=list[ScoreView],
    responses={200: {"content": {"text/csv": {"schema": {"type": "string"}}}}},
)
def scores(scored: Annotated[Scored, Query()], caller: Reader) -> Response | list[ScoreView]:
    """The best score of each user among the jobs that have succeeded, for each protocol, split, store and its data."""
    found = scored.of(caller)
    if scored.form == "json":
        return found
    headers = {"Content-Disposition": 'attachment; filename="scores.csv"'}
    return Response(to_csv(found), media_type="text/csv", headers=headers)


@router.get("/groups")
def groups(caller: Reader) -> list[GroupView]:
    """Groups of jobs, newest first."""
    return caller.service.groups()


@router.get("/stores")
def stores(caller: Reader) -> list[StoreView]:
    """Stores that an experiment may name as `data.store`."""
    return caller.service.stores()
