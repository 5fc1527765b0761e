"""The Data pages: which stores there are, what is in one, and its examples."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from fastapi import Path as PathParameter
from fastapi.responses import HTMLResponse, JSONResponse

from vqa.errors import JobError, VQAError
from vqa.jobs.record import Filter, Job
from vqa.jobs.uploads.owned import size_of, uploaded
from vqa.names import NAME_PATTERN
from vqa.server.api.dependencies import Caller, OpenHoldings, OpenPages, Reader, StoreName
from vqa.server.api.stores import Sought, find_examples
from vqa.server.holdings import Counted, Holdings
from vqa.server.pages.data_charts import CHARTS, figure, shares

JOBS_SEARCHED, JOBS_SHOWN = 500, 12
ChartName = Annotated[str, PathParameter(pattern=NAME_PATTERN, max_length=40)]

router = APIRouter(include_in_schema=False)


@router.get("/data")
def stores(request: Request, caller: Reader, held: OpenHoldings, made: OpenPages) -> HTMLResponse:
    """Every store."""
    found = [_line(held, name, path) for name, path in held.paths().items()]
    return made.page(request, "data.html.j2", stores=found)


@router.get("/data/{store}")
def store(
    request: Request,
    store: StoreName,
    sought: Annotated[Sought, Query()],
    caller: Reader,
    held: OpenHoldings,
    made: OpenPages,
) -> HTMLResponse:
    """A store: what was counted, and its examples."""
    index = held.index(store)
    columns = ("split", "question_type", "answer_type")
    return made.page(
        request,
        "store.html.j2",
        manifest=held.manifest(store),
        bytes=size_of(held.path(store)),
        owner=uploaded(held.path(store)),
        jobs=_learners(caller, held.path(store))[:JOBS_SHOWN],
        sought=sought,
        values={name: index.values(name) for name in columns},
        page=find_examples(held, store, sought),
        address=lambda **changes: _query(sought, **changes),
        **_counted(store, held.counted(store)),
    )


@router.get("/data/{store}/counted")
def counted(
    request: Request, store: StoreName, caller: Reader, held: OpenHoldings, made: OpenPages
) -> HTMLResponse:
    """What was counted alone."""
    return made.page(request, "store_counted.html.j2", **_counted(store, held.counted(store)))


@router.get("/data/{store}/charts/{name}.json")
def chart(store: StoreName, name: ChartName, caller: Reader, held: OpenHoldings) -> JSONResponse:
    """A distribution as a figure."""
    found = held.counted(store).found or {}
    told = found.get("distributions", {}).get(name)
    if told is None or name not in CHARTS:
        raise JobError(f"has no chart {name!r}", where=store, kind="not-found")
    return JSONResponse(figure(name, told))


def _line(held: Holdings, name: str, path: Path) -> dict[str, Any]:
    """A store in the list; one that cannot be read says why."""
    try:
        manifest = held.manifest(name)
        known = {"manifest": manifest, "bytes": size_of(path), "owner": uploaded(path)}
        return {"name": name, "fault": "", **known}
    except VQAError as error:
        return {"name": name, "manifest": None, "bytes": None, "fault": error.what}


def _counted(store: str, known: Counted) -> dict[str, Any]:
    charts = []
    if known.found is not None:
        told = known.found["distributions"]
        charts = [
            (name, title, told[name], shares(told[name]))
            for name, title in CHARTS.items()
            if name in told
        ]
    return {"store": store, "counted": known, "charts": charts}


def _learners(caller: Caller, path: Path) -> list[Job]:
    """The newest jobs that learn from a store."""
    recent = caller.service.queue.find(Filter(), JOBS_SEARCHED)
    return [job for job in recent if job.submission.experiment["data"]["store"] == str(path)]


def _query(sought: Sought, **changes: object) -> str:
    fields = sought.model_dump(exclude_defaults=True) | changes
    return urlencode({name: value for name, value in fields.items() if value})
