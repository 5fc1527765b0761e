"""The Jobs page: the queue, live."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, get_args

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from vqa.jobs.record import EngineName, State
from vqa.server.api.dependencies import Caller, OpenPages, Reader
from vqa.server.api.jobs import Scored, Wanted
from vqa.server.pages.filters import FilterForm, checked

ROWS = 50
router = APIRouter(include_in_schema=False)


class Chosen(FilterForm):
    """Which jobs."""

    state: str = ""
    group: str = ""
    user: str = ""
    engine: str = ""
    prefix: str = ""
    before: str = ""

    def wanted(self) -> Wanted:
        """The same, checked.

        Raises:
            JobError: a field holds what no job could have.
        """
        state = {"state": [self.state]} if self.state else {}
        return checked(Wanted, {**self.filled("state"), **state, "limit": ROWS})


Asked = Annotated[Chosen, Query()]


@router.get("/jobs")
def jobs(request: Request, chosen: Asked, caller: Reader, made: OpenPages) -> HTMLResponse:
    """The queue with a filter."""
    return made.page(
        request,
        "jobs.html.j2",
        states=[str(state) for state in State],
        engines=get_args(EngineName),
        groups=caller.service.groups(),
        **_rows(chosen, caller),
    )


@router.get("/jobs/rows")
def rows(request: Request, chosen: Asked, caller: Reader, made: OpenPages) -> HTMLResponse:
    """The table alone, as it is now."""
    return made.page(request, "jobs_rows.html.j2", **_rows(chosen, caller))


class ScoresOf(FilterForm):
    """Whose best scores."""

    group: str = ""
    user: str = ""


@router.get("/jobs/best")
def best(
    request: Request, chosen: Annotated[ScoresOf, Query()], caller: Reader, made: OpenPages
) -> HTMLResponse:
    """The best score of each user."""
    found = checked(Scored, chosen.filled()).of(caller)
    return made.page(
        request, "jobs_best.html.j2", chosen=chosen, query=chosen.query(), scores=found
    )


def _rows(chosen: Chosen, caller: Caller) -> dict[str, Any]:
    wanted = chosen.wanted()
    page = caller.service.jobs(wanted.to_filter(), wanted.limit)
    return {
        "chosen": chosen,
        "query": chosen.query(),
        "page": page,
        "counts": _counts(page.counts),
        "best_query": ScoresOf.model_validate(chosen.model_dump()).query(),
        "older": chosen.query(before=page.next),
    }


def _counts(counts: dict[State, int]) -> Sequence[tuple[str, int]]:
    """States in the order of a job's life, without those that no job is in."""
    return [(str(state), counts[state]) for state in State if counts.get(state)]
