"""The Submit page: a form made from the experiment's schema, and with it an ablation's grid."""

from __future__ import annotations

import itertools
from typing import Annotated, Any, get_args

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from vqa.ablation.plan import Plan, look
from vqa.ablation.plan import submit as submit_plan
from vqa.ablation.schema import BASELINES
from vqa.config import Experiment
from vqa.formatting import roughly
from vqa.jobs.record import EngineName
from vqa.server.api.dependencies import Caller, OpenPages, Submitter
from vqa.server.pages.draft import Draft
from vqa.server.pages.form import Choice, Entry, Part, experiment_form, flat

router = APIRouter(include_in_schema=False)
From = Annotated[str, Query(alias="from", max_length=64)]
NOWHERE = "store"


@router.get("/submit")
def form(
    request: Request,
    caller: Submitter,
    made: OpenPages,
    source: From = "",
    store: Annotated[str, Query(max_length=120)] = "",
) -> HTMLResponse:
    """The form; filled in from a job, or for a store."""
    filled = _filled(caller, source) if source else {}
    if store:
        filled["data.store"] = store
    return made.page(
        request,
        "submit.html.j2",
        form=experiment_form(),
        kind=_kind,
        fresh=itertools.count().__next__,
        stores=caller.service.stores(),
        filled=filled,
        source=source,
        engines=get_args(EngineName),
        highest=caller.service.highest_priority,
        baselines=BASELINES,
    )


@router.post("/submit/look")
def look_at(request: Request, draft: Draft, caller: Submitter, made: OpenPages) -> HTMLResponse:
    """What a form would queue, as a piece of the page; nothing is queued."""
    single = draft.to_request()
    if single is not None:
        submission = caller.service.checker.check(single, caller.token.name, paths_allowed=False)
        named = caller.service.checker.library.named(submission.experiment)
        return made.page(
            request, "submit_job.html.j2", submission=submission, differing=_differing(named)
        )
    plan = look(draft.to_grid(), caller.service, estimate=True)
    others = plan.others(caller.token.name)
    return made.page(
        request, "submit_grid.html.j2", plan=plan, rows=_rows(plan), roughly=roughly, others=others
    )


@router.post("/submit/queue", status_code=201)
def queue(draft: Draft, caller: Submitter) -> dict[str, Any]:
    """Queue it, all or nothing; gives the address of the page to look at next, and how many jobs were queued."""
    single = draft.to_request()
    if single is not None:
        return {"address": f"/jobs/{caller.service.submit(single).id}", "queued": 1}
    grid = draft.to_grid()
    plan = look(grid, caller.service, estimate=bool(grid.ablation.budget.max_hours))
    plan.check_data(caller.service)
    plan.check_budget()
    queued = submit_plan(plan, caller.service)
    return {"address": f"/ablations/{grid.ablation.group}", "queued": len(queued)}


def _filled(caller: Caller, source: str) -> dict[str, str]:
    """A job's experiment where it differs from the default."""
    return flat(caller.service.show(source).experiment, _default())


def _differing(experiment: dict[str, Any]) -> dict[str, str]:
    return flat(experiment, _default())


def _default() -> dict[str, Any]:
    return Experiment.model_validate({"data": {"store": NOWHERE}}).to_dict()


def _kind(child: Entry | Part | Choice) -> str:
    """What a template shows a piece of the form as."""
    return type(child).__name__.lower()


def _rows(plan: Plan) -> list[dict[str, Any]]:
    """A row for each variant."""
    rows = []
    for name in plan.grid.variants:
        members = [one for one in plan.members if one.cell.variant == name]
        rows.append(
            {
                "variant": name,
                "labels": members[0].cell.labels,
                "baseline": members[0].cell.baseline,
                "seeds": [one.cell.seed for one in members],
                "states": [one.state for one in members],
                "takes": roughly(members[0].seconds),
            }
        )
    return rows
