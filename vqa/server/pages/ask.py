"""The Ask page: a picture, a question, and what one or two models say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from vqa.errors import JobError
from vqa.jobs.record import Filter, State
from vqa.jobs.views import JobView
from vqa.server.api.dependencies import Caller, OpenHoldings, OpenPages, Reader
from vqa.server.api.stores import ExampleView, find_example
from vqa.server.holdings import Holdings
from vqa.server.pages.filters import FilterForm

MOST_RUNS = 300
UNSEEN = ("val", "validation", "valid", "test")
router = APIRouter(include_in_schema=False)


class Asked(FilterForm):
    """What an address carries: two runs, and an example of a store, or any example of a split of it."""

    a: str = ""
    b: str = ""
    store: str = ""
    question_id: str = ""
    split: str = ""


@dataclass(frozen=True)
class Runs:
    """Finished runs with a model, for a choice.

    Attributes:
        groups: by group, the newest group first; within one the best run first.
        chosen: the ids of the two that the page begins with, `""` for none.
        faults: what is wrong with runs that the address names.
    """

    groups: dict[str, list[JobView]]
    chosen: tuple[str, str]
    faults: list[str]


@router.get("/ask")
def ask(
    request: Request,
    asked: Annotated[Asked, Query()],
    caller: Reader,
    held: OpenHoldings,
    made: OpenPages,
) -> Response:
    """The page; with a store and no question it leads on to any question of it."""
    if asked.store and not asked.question_id:
        split = asked.split or _unseen(list(held.manifest(asked.store).splits))
        found = find_example(held, asked.store, split=split)
        address = asked.query(question_id=found.question_id, split="")
        return RedirectResponse(f"/ask?{address}", 303)
    return _page(request, asked, caller, held, made)


def _page(
    request: Request, asked: Asked, caller: Caller, held: Holdings, made: OpenPages
) -> HTMLResponse:
    example, runs = None, choose_runs(caller, asked.a, asked.b)
    if asked.store:
        example = find_example(held, asked.store, asked.question_id)
    return made.page(
        request,
        "ask.html.j2",
        asked=asked,
        runs=runs,
        stores=_stores(held),
        nearest=asked.store or _learnt_from(caller, held, runs.chosen[0]),
        example=example,
        truth=_truth(example),
    )


def choose_runs(caller: Caller, first: str = "", second: str = "") -> Runs:
    """The runs that can be asked.

    Args:
        first, second: ids of jobs that are wanted; the first is the best of the newest group where empty.
    """
    finished = caller.service.jobs(Filter(states=(State.SUCCEEDED,)), MOST_RUNS).jobs
    runs = {job.id: job for job in finished if _has_model(caller, job.id)}
    faults = []
    for wanted in filter(None, (first, second)):
        try:
            runs[wanted] = runs.get(wanted) or _named(caller, wanted)
        except JobError as error:
            faults.append(f"{error.where or wanted}: {error.what}")
    groups: dict[str, list[JobView]] = {}
    for job in runs.values():
        groups.setdefault(job.group or "", []).append(job)
    for members in groups.values():
        members.sort(key=lambda job: (job.overall is None, -(job.overall or 0.0), -job.seq))
    best = next((members[0].id for members in groups.values()), "")
    chosen = (first if first in runs else best, second if second in runs else "")
    return Runs(groups, chosen, faults)


def _named(caller: Caller, job: str) -> JobView:
    """A run that an address names.

    Raises:
        JobError: there is none, or it has no model.
    """
    found = caller.service.show(job).job
    if not _has_model(caller, job):
        raise JobError(f"has no model ({found.state})", where=found.name)
    return found


def _has_model(caller: Caller, job: str) -> bool:
    return (caller.service.home.run_dir(job) / "model" / "model.json").is_file()


def _learnt_from(caller: Caller, held: Holdings, job: str) -> str:
    """The name of the store that a run learnt from; empty where it has none any more."""
    if not job:
        return ""
    path = caller.service.queue.get(job).submission.experiment["data"]["store"]
    return next((name for name, found in held.paths().items() if str(found) == path), "")


def _unseen(splits: list[str]) -> str:
    """The split of whose examples one is taken: one that models do not learn from, and that has answers."""
    return next((name for name in UNSEEN if name in splits), "")


def _stores(held: Holdings) -> list[str]:
    """Stores whose pictures can be asked about."""
    return [name for name in held.paths() if not held.is_blind(name)]


def _truth(example: ExampleView | None) -> dict[str, Any]:
    """What the page's script needs to tell right from wrong."""
    if example is None:
        return {}
    fields = {"question", "choices", "answers", "right"}
    return example.model_dump(include=fields)
