"""The Ablation pages: all groups with the best variant of each, and one group's answer with everything behind it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response

from vqa.ablation.charts import COLOURS, curves, dots, heat, heat_table, type_names
from vqa.ablation.forms import FILES
from vqa.ablation.study import TYPE_KINDS
from vqa.ablation.tables import MOST_TYPES, by
from vqa.ablation.verdict import verdict
from vqa.errors import InputError
from vqa.evaluation.comparison import p_text
from vqa.jobs.groups import can_cancel, can_retry, jobs_of
from vqa.jobs.record import ACTIVE, TERMINAL, State
from vqa.server.ablations import Ablations, Group, choice_of
from vqa.server.api.dependencies import Caller, GroupName, OpenAblations, OpenPages, Reader
from vqa.server.api.groups import check_options
from vqa.server.pages.ablation_choices import (
    BEST_FIRST,
    DEFAULT_METRIC,
    Asked,
    Choices,
    aria_sort,
    compared,
    kind_of,
    next_sort,
    ordered,
    shown,
)
from vqa.server.pages.layout import code_markup

GROUPS, QUESTIONS, MOST_ACTIVE = 20, 8, 12
SIDE = 320
"""Of a question's picture, in pixels."""

router = APIRouter(include_in_schema=False)


def _found(group: GroupName, asked: Asked, caller: Reader, known: OpenAblations) -> Group:
    """A dependency: the group of the address, with the study that was asked for."""
    check_options(known, caller, group, asked.options)
    return known.group(group, asked.options)


Found = Annotated[Group, Depends(_found)]


@router.get("/ablations")
def ablations(
    request: Request,
    caller: Reader,
    known: OpenAblations,
    made: OpenPages,
    start: Annotated[int, Query(ge=0, lt=1 << 40)] = 0,
) -> HTMLResponse:
    """Groups, newest first."""
    found = caller.service.groups()
    groups = found[start : start + GROUPS]
    return made.page(
        request,
        "ablations.html.j2",
        groups=[(group, known.best(group.name)) for group in groups],
        states=list(State),
        start=start,
        step=GROUPS,
        total=len(found),
    )


@router.get("/ablations/{group}")
def ablation(
    request: Request,
    found: Found,
    asked: Asked,
    caller: Reader,
    known: OpenAblations,
    made: OpenPages,
) -> HTMLResponse:
    """One group."""
    context = _answer(found, asked, known, caller) | _now(found, asked, caller)
    return made.page(request, "ablation.html.j2", **context)


@router.get("/ablations/{group}/now")
def now(
    request: Request, found: Found, asked: Asked, caller: Reader, made: OpenPages
) -> HTMLResponse:
    """How far its runs and its study are."""
    return made.page(request, "ablation_now.html.j2", **_now(found, asked, caller))


@router.get("/ablations/{group}/answer")
def answer(
    request: Request,
    found: Found,
    asked: Asked,
    caller: Reader,
    known: OpenAblations,
    made: OpenPages,
) -> HTMLResponse:
    """All that depends on choices and on the study."""
    return made.page(request, "ablation_answer.html.j2", **_answer(found, asked, known, caller))


@router.get("/ablations/{group}/dots.json")
def dots_figure(found: Found) -> JSONResponse:
    """Every variant's mean with its interval and its seeds."""
    return JSONResponse(dots(found.study["variants"], found.study["reference"]))


@router.get("/ablations/{group}/heat.json")
def heat_figure(found: Found, asked: Asked) -> JSONResponse:
    """Differences to the reference by type."""
    return JSONResponse(heat(found.study, kind_of(asked, found.study)))


@router.get("/ablations/{group}/curves.json")
def curves_figure(found: Found, asked: Asked, known: OpenAblations) -> JSONResponse:
    """A metric by step, a band a variant."""
    metric = asked.metric or DEFAULT_METRIC
    names = shown(asked, found.study, list(found.runs))
    bands = known.bands(found, metric, names)
    places = {name: at for at, name in enumerate(names)}
    return JSONResponse(curves(bands, places, metric))


@router.get("/ablations/{group}/curves")
def curves_table(
    request: Request, found: Found, asked: Asked, known: OpenAblations, made: OpenPages
) -> HTMLResponse:
    """The curves' figures."""
    metric = asked.metric or DEFAULT_METRIC
    bands = known.bands(found, metric, shown(asked, found.study, list(found.runs)))
    return made.page(request, "ablation_curves.html.j2", bands=bands, metric=metric)


@router.get("/ablations/{group}/picture")
def picture(
    request: Request,
    group: GroupName,
    image: Annotated[str, Query(max_length=10_000)],
    caller: Reader,
) -> Response:
    """A picture of the store that the group's runs were trained on, made anew so that it is one whatever it was.

    Raises:
        InputError: there is none.
    """
    from vqa.data.thumbnail import thumbnail

    jobs = jobs_of(caller.service.queue, group)
    store = request.app.state.opened.store(Path(jobs[0].submission.experiment["data"]["store"]))
    made = thumbnail(store.picture(image), SIDE)
    return Response(
        made.data,
        media_type=f"image/{made.kind}",
        headers={"Cache-Control": "private, max-age=3600"},
    )


def _now(found: Group, asked: Choices, caller: Caller) -> dict[str, Any]:
    """Of the jobs, and of the study's making."""
    active = [job for job in found.jobs if job.state in ACTIVE]
    states = [job.state for job in found.jobs]
    return {
        "group": found.name,
        "address": _address(found, asked),
        "choices": asked,
        "state": found.state,
        "study_version": found.version,
        "counts": [(str(one), states.count(one)) for one in State if one in states],
        "total": len(states),
        "ended": sum(one in TERMINAL for one in states),
        "active": [caller.service.view(job) for job in active[:MOST_ACTIVE]],
        "more_active": max(0, len(active) - MOST_ACTIVE),
        "can_cancel": sum(can_cancel(job) and caller.may_touch(job) for job in found.jobs),
        "can_retry": sum(can_retry(job) and caller.may_touch(job) for job in found.jobs),
        "final": all(one in TERMINAL for one in states) and found.state.status != "computing",
    }


def _address(found: Group, asked: Choices) -> str:
    query = asked.query()
    return f"/ablations/{found.name}" + (f"?{query}" if query else "")


def _answer(found: Group, asked: Choices, known: Ablations, caller: Caller) -> dict[str, Any]:
    """Of the study, by what was chosen."""
    study, kind = found.study, kind_of(asked, found.study)
    names = list(found.runs)
    heat_names, heat_rows = heat_table(study, kind)
    return {
        "group": found.name,
        "choices": asked,
        "state": found.state,
        "study_version": found.version,
        "study": study,
        "verdict": verdict(study),
        "rows": ordered(study["variants"], asked.sort or BEST_FIRST),
        "by": by if len(study["users"]) > 1 else None,
        "tests": {test["a"]: test for test in study["comparisons"]},
        "columns": _columns(study),
        "clean": lambda text: code_markup(caller.service.checker.library.without_paths(text)),
        "p_text": p_text,
        "next_sort": next_sort,
        "aria_sort": aria_sort,
        "choice": choice_of(found.members, found.places),
        "baselines": _baselines(study, asked),
        "left_out": found.left_out,
        "going": any(not job.terminal for job in found.jobs),
        "forms": list(FILES),
        "run_name": lambda path: Path(path).name,
        "kind": kind,
        "kinds": [one for one in TYPE_KINDS if type_names(study, one)],
        "heat_names": heat_names,
        "heat_rows": heat_rows if study["reference"] else [],
        "metric": asked.metric or DEFAULT_METRIC,
        "metrics": known.metrics(found),
        "shown": shown(asked, study, names),
        "curve_names": names,
        "most_shown": COLOURS,
        "differing": _differing(found, asked, known),
    }


def _baselines(study: Any, asked: Choices) -> list[str]:
    """What the others can be tested against: what is in the study, and what was asked for."""
    return list(
        dict.fromkeys(filter(None, [*(row["name"] for row in study["variants"]), asked.baseline]))
    )


def _columns(study: Any) -> list[tuple[str, str, str]]:
    """Of each type that fits into the table: what it sorts by, its kind and its name."""
    return [
        (f"{kind[len('per_')]}.{name}", kind, name)
        for kind in TYPE_KINDS
        if 1 < len(names := type_names(study, kind)) <= MOST_TYPES
        for name in names
    ]


def _differing(found: Group, asked: Choices, known: Ablations) -> dict[str, Any] | None:
    """What one variant gets right and the other wrong; None where there are no two to compare."""
    pair = compared(asked, found.study)
    if pair is None:
        return None
    rows = {row["name"]: row for row in found.study["variants"]}
    common = sorted(set(rows[pair[0]]["seeds"]) & set(rows[pair[1]]["seeds"]) - {None})
    seed = int(asked.seed) if asked.seed.lstrip("-") and int(asked.seed) in common else None
    about = {"a": pair[0], "b": pair[1], "seeds": common, "seed": seed, "step": QUESTIONS}
    about["names"] = [name for name, row in rows.items() if row["runs"]]
    if found.state.study is None:
        return about | {"fault": "", "found": None}
    try:
        made = known.disagreement(found, *pair, seed, asked.options)
        lines = known.lines(made.questions)
        page = made.page(lines, asked.side, asked.start, QUESTIONS)
    except (InputError, OSError) as error:
        return about | {"fault": str(error), "found": None}
    return about | {"fault": "", "found": made, "page": page, "total": len(made.places(asked.side))}
