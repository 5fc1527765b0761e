"""Groups of jobs: end or retry a whole one, and the study that compares its runs."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel

from vqa.ablation.forms import FILES, Form
from vqa.ablation.study import Options
from vqa.errors import BEFORE_FIX, JobError
from vqa.evaluation.protocols import PROTOCOLS
from vqa.jobs.groups import jobs_of
from vqa.jobs.views import JobView
from vqa.server.ablations import Ablations
from vqa.server.api.dependencies import Caller, GroupName, OpenAblations, Reader, Submitter

MEDIA_TYPES: dict[Form, str] = {
    "json": "application/json",
    "csv": "text/csv",
    "html": "text/html",
    "markdown": "text/markdown",
    "latex": "application/x-tex",
}
SECONDS_TO_WAIT = 2
router = APIRouter(tags=["groups"])


class Computing(BaseModel):
    """A study that is being made; ask again."""

    status: Literal["computing"] = "computing"
    since: float | None


@router.post("/groups/{group}/cancel")
def cancel(group: GroupName, caller: Submitter) -> list[JobView]:
    """Have every job of a group ended that has not ended; an admin's, or one's own. Gives those."""
    return caller.service.cancel_group(group, caller.may_touch)


@router.post("/groups/{group}/retry")
def retry(group: GroupName, caller: Submitter) -> list[JobView]:
    """Queue every job of a group again that failed or was lost; an admin's, or one's own. Gives those."""
    return caller.service.retry_group(group, caller.may_touch)


@router.get("/groups/{group}/data")
def data(group: GroupName, caller: Reader) -> dict[str, str]:
    """By job, the fingerprint of the data that it was trained on, or would be now; known ones alone."""
    return caller.service.data_of_group(group)


@router.get(
    "/groups/{group}/study",
    response_class=Response,
    responses={
        200: {
            "description": "The study.",
            "content": {
                kind: {"schema": {} if kind == "application/json" else {"type": "string"}}
                for kind in MEDIA_TYPES.values()
            },
        },
        202: {"description": "It is being made.", "model": Computing},
    },
)
def study(
    group: GroupName,
    caller: Reader,
    known: OpenAblations,
    form: Form = "json",
    baseline: Annotated[str | None, Query(max_length=200)] = None,
    split: Annotated[str, Query(max_length=200)] = "",
    protocol: Annotated[str, Query(max_length=64)] = "",
) -> Response:
    """The comparison of a group's runs; 202 as long as it is being made.

    `baseline` is the variant that the others are tested against; the first of the grid where it is left out.
    """
    options = Options(baseline=baseline or None, split=split, protocol=protocol)
    check_options(known, caller, group, options)
    state, plain = known.state(group, options), caller.service.checker.library.without_paths
    if state.status == "failed":
        what, _, fix = plain(state.error).partition(BEFORE_FIX)
        raise JobError(what, where=group, fix=fix, kind="conflict")
    if state.status == "computing" or state.study is None:
        waiting = Computing(since=state.since).model_dump()
        return JSONResponse(waiting, 202, {"Retry-After": str(SECONDS_TO_WAIT)})
    text = plain(state.study.text(form))
    name = f"{group}{FILES[form].removeprefix('study')}"
    return Response(
        text.encode(),
        media_type=MEDIA_TYPES[form],
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def check_options(known: Ablations, caller: Caller, group: str, options: Options) -> None:
    """Refuse what no study of this group can be made with, before anything is made.

    Raises:
        JobError: no such group, variant, split or protocol.
    """
    asked = (options.baseline, options.split, options.protocol)
    if not any(asked):
        jobs_of(caller.service.queue, group)
        return
    choice = known.choice(group)
    for name, value, there in (
        ("baseline", options.baseline, choice.variants),
        ("split", options.split, choice.splits),
        ("protocol", options.protocol, tuple(PROTOCOLS)),
    ):
        if value and value not in there:
            fix = f"there are {', '.join(there[:20]) or 'none'}"
            raise JobError(f"no {name} {value[:80]!r}", where=group, fix=fix, kind="not-found")
