"""The Ask page: a picture, a question, one model or two."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse

from vqa.data.record import Example
from vqa.jobs.queue import Filter
from vqa.jobs.record import NAME_PATTERN, State
from vqa.jobs.views import JobView
from vqa.server.api.asking import Caller, Reader
from vqa.server.api.stores import Shelf
from vqa.server.pages.signin import OpenPages

MODELS_SHOWN = 200
Job = Annotated[str, Query(pattern=rf"^$|{NAME_PATTERN}", max_length=64)]
Store = Annotated[str, Query(pattern=rf"^$|{NAME_PATTERN}", max_length=120)]
QuestionId = Annotated[str, Query(max_length=10_000)]

router = APIRouter(include_in_schema=False)


@router.get("/ask")
def ask(
    request: Request,
    caller: Reader,
    made: OpenPages,
    a: Job = "",
    b: Job = "",
    store: Store = "",
    question_id: QuestionId = "",
) -> HTMLResponse:
    """The form, with an example of a store where one is named."""
    models = _models(caller)
    known = {job.id for job in models}
    example = _shelf(request, caller, store).example(question_id) if store and question_id else None
    return made.page(
        request,
        "ask.html.j2",
        models=models,
        a=a if a in known else _best(models),
        b=b if b in known else "",
        stores=[one.name for one in caller.service.stores() if not one.text_only],
        store=store,
        example=example,
        right=_right(example),
        picture=urlencode({"image_id": example.image_id}) if example else "",
        given=json.dumps(_given(store, example)),
    )


@router.get("/ask/any")
def any_example(
    request: Request, caller: Reader, store: Store, a: Job = "", b: Job = ""
) -> RedirectResponse:
    """A question of a store, drawn by lot; of its test split where it has one."""
    shelf = _shelf(request, caller, store)
    opened = shelf.open().store
    splits = opened.manifest.splits
    split = next((name for name in ("test", "val") if name in splits), next(iter(splits)))
    (example,) = shelf.examples(opened.rows(split)[[random.randrange(splits[split])]])
    fields = {"a": a, "b": b, "store": store, "question_id": example.question_id}
    return RedirectResponse("/ask?" + urlencode({k: v for k, v in fields.items() if v}), 303)


def _shelf(request: Request, caller: Caller, store: str) -> Shelf:
    state = request.app.state
    return Shelf(store, caller.service, state.opened, state.inspections)


def _models(caller: Caller) -> Sequence[JobView]:
    """Runs that can answer, newest first."""
    jobs = caller.service.jobs(Filter(states=(State.SUCCEEDED,)), MODELS_SHOWN).jobs
    runs = caller.service.home
    return [job for job in jobs if (runs.run_dir(job.id) / "model" / "model.json").exists()]


def _best(models: Sequence[JobView]) -> str:
    """The run with the highest score; empty where there is none."""
    best = max(models, key=lambda job: job.overall or 0.0, default=None)
    return "" if best is None else best.id


def _right(example: Example | None) -> str:
    """What people say."""
    if example is None:
        return ""
    if example.label >= 0:
        return example.choices[example.label]
    return ", ".join(dict.fromkeys(example.answers))


def _given(store: str, example: Example | None) -> dict[str, Any] | None:
    """The picture that the page's script sends the name of."""
    return None if example is None else {"store": store, "image_id": example.image_id}
