"""Stores looked into: what was counted, their examples, their pictures."""

from __future__ import annotations

import hashlib
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from vqa.errors import JobError
from vqa.jobs.views import View
from vqa.server.api.dependencies import OpenHoldings, Reader, StoreName
from vqa.server.holdings import Holdings

MOST_EXAMPLES = 100
MOST_SIDE = 1024
KEPT = "private, max-age=300"
FARTHEST = 1 << 53
Text = Annotated[str, Field(max_length=16_000)]
PICTURES: dict[int | str, dict[str, Any]] = {
    200: {"content": {"image/png": {}, "image/jpeg": {}}},
    304: {"description": "The picture that the caller has."},
}

router = APIRouter(tags=["stores"])


class ExampleView(View):
    """One example; see `vqa.data.record.Example`.

    Attributes:
        right: the right choice; the most frequent answer where there are no choices; None where neither is known.
        width, height: of its picture.
    """

    question_id: str
    image_id: str
    question: str
    answers: list[str]
    choices: list[str]
    label: int
    question_type: str
    answer_type: str
    split: str
    right: str | None
    width: int
    height: int


class ExamplePage(View):
    """Examples in the store's order.

    Attributes:
        total: how many there are.
        next: give it as `offset` for the next page; None on the last one.
    """

    examples: list[ExampleView]
    total: int
    next: int | None


class StoreDetail(View):
    """What is in a store.

    Attributes:
        state: `counting` until all has been counted.
        fault: why it cannot be.
        inspection: as `vqa inspect --json` prints it, without the store's place.
    """

    name: str
    state: Literal["counting", "counted", "failed"]
    fault: str
    inspection: dict[str, Any] | None


class Sought(BaseModel):
    """Which examples; see `vqa.data.browse.Wanted`."""

    model_config = ConfigDict(extra="forbid")

    split: Text = ""
    question_type: Text = ""
    answer_type: Text = ""
    text: Text = ""
    offset: int = Field(default=0, ge=0, lt=FARTHEST)
    limit: int = Field(default=24, ge=1, le=MOST_EXAMPLES)


class Shown(BaseModel):
    """Which picture.

    Attributes:
        size: its longer side in pixels at most; it is never enlarged.
    """

    model_config = ConfigDict(extra="forbid")

    image_id: Text
    size: int = Field(default=320, ge=16, le=MOST_SIDE)


class One(BaseModel):
    """Which example: this one, or any of a split."""

    model_config = ConfigDict(extra="forbid")

    question_id: Text | None = None
    split: Text = ""


@router.get("/stores/{store}")
def detail(store: StoreName, caller: Reader, held: OpenHoldings) -> StoreDetail:
    """What is in a store; the first to ask for it has it counted."""
    counted = held.counted(store)
    state: Literal["counting", "counted", "failed"] = "counting"
    if counted.is_final:
        state = "failed" if counted.fault else "counted"
    return StoreDetail(name=store, state=state, fault=counted.fault, inspection=counted.found)


@router.get("/stores/{store}/examples")
def examples(
    store: StoreName, sought: Annotated[Sought, Query()], caller: Reader, held: OpenHoldings
) -> ExamplePage:
    """A store's examples, a page at a time."""
    return find_examples(held, store, sought)


@router.get("/stores/{store}/example")
def example(
    store: StoreName, one: Annotated[One, Query()], caller: Reader, held: OpenHoldings
) -> ExampleView:
    """One example; without a `question_id` any."""
    return find_example(held, store, one.question_id, one.split)


@router.get("/stores/{store}/picture", response_class=Response, responses=PICTURES)
def picture(
    request: Request,
    store: StoreName,
    shown: Annotated[Shown, Query()],
    caller: Reader,
    held: OpenHoldings,
) -> Response:
    """A picture, decoded and made anew as PNG, or as JPEG where it was one."""
    state = held.picture_state(store, shown.image_id)
    tag = f'"{hashlib.sha256(f"{state}:{shown.size}".encode()).hexdigest()[:32]}"'
    headers = {"ETag": tag, "Cache-Control": KEPT}
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    made = held.thumbnail(store, shown.image_id, shown.size)
    return Response(made.data, media_type=f"image/{made.kind}", headers=headers)


def find_examples(held: Holdings, store: str, sought: Sought) -> ExamplePage:
    """A page of a store's examples."""
    from vqa.data.browse import Wanted

    wanted = Wanted(**sought.model_dump(exclude={"offset", "limit"}))
    rows = held.index(store).find(wanted)
    end = sought.offset + sought.limit
    return ExamplePage(
        examples=[_view(held, store, int(row)) for row in rows[sought.offset : end]],
        total=len(rows),
        next=end if end < len(rows) else None,
    )


def find_example(
    held: Holdings, store: str, question_id: str | None = None, split: str = ""
) -> ExampleView:
    """One of a store's examples: a certain one, or any of a split.

    Raises:
        JobError: the store has no such example.
    """
    from vqa.data.browse import Wanted

    index = held.index(store)
    row = index.any_of(Wanted(split=split)) if question_id is None else index.row(question_id)
    if row is None:
        what = "example" if question_id is None else f"question {question_id!r}"
        raise JobError(f"has no such {what}", where=store, kind="not-found")
    return _view(held, store, row)


def _view(held: Holdings, store: str, row: int) -> ExampleView:
    opened = held.store(store).store
    found, place = opened.example(row), int(opened.image_rows[row])
    sizes = opened.image_table.slice(place, 1).select(["width", "height"]).to_pylist()[0]
    fields = {name: getattr(found, name) for name in found.__slots__}
    return ExampleView(**fields, **sizes, right=_right(found.answers, found.choices, found.label))


def _right(answers: list[str], choices: list[str], label: int) -> str | None:
    if choices:
        return choices[label] if label >= 0 else None
    return max(answers, key=answers.count) if answers else None
