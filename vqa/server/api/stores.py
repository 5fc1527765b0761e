"""What is in a store: examples a page at a time, pictures, and what `vqa inspect` tells."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from vqa.data.browse import Wanted, find_rows, read_examples
from vqa.data.record import Example
from vqa.errors import JobError
from vqa.jobs.local_service import LocalService
from vqa.jobs.record import NAME_PATTERN
from vqa.jobs.views import View
from vqa.server.absent import absent
from vqa.server.api.asking import Reader
from vqa.server.inspections import Inspections
from vqa.server.opened import Opened, OpenStore

MOST_AT_ONCE = 200
KEPT = {"Cache-Control": "private, max-age=600"}
PNG: dict[int | str, dict[str, Any]] = {200: {"content": {"image/png": {}}}}
StoreName = Annotated[str, Path(pattern=NAME_PATTERN, max_length=120)]

router = APIRouter(tags=["stores"])


class ExampleView(View):
    """One question about one picture, see `Example`."""

    question_id: str
    image_id: str
    question: str
    answers: list[str]
    choices: list[str]
    label: int
    question_type: str
    answer_type: str
    split: str


class ExamplesView(View):
    """Some examples; `total` says how many fit the filter."""

    items: list[ExampleView]
    total: int


class InspectionView(View):
    """What `vqa inspect` tells; `found` is None while the store is being counted: ask again."""

    found: dict[str, Any] | None


class ExampleFilter(BaseModel):
    """Which examples to list; empty fields choose nothing.

    Attributes:
        text: stands in the question or an answer.
        image_id: about this picture.
        start: so many of those that fit come before.
    """

    model_config = ConfigDict(extra="forbid")

    split: str = Field(default="", max_length=200)
    question_type: str = Field(default="", max_length=10_000)
    answer_type: str = Field(default="", max_length=10_000)
    text: str = Field(default="", max_length=1000)
    image_id: str = Field(default="", max_length=10_000)
    start: int = Field(default=0, ge=0, lt=1 << 53)
    limit: int = Field(default=24, ge=1, le=MOST_AT_ONCE)

    def wanted(self) -> Wanted:
        """The same for the store."""
        return Wanted(**self.model_dump(exclude={"start", "limit"}))


@dataclass(frozen=True)
class Shelf:
    """A store by its name, read through what the server has open.

    Raises:
        JobError: from every method, where there is no such store, question or picture (`not-found`); messages carry
            names and no paths.
    """

    name: str
    service: LocalService
    opened: Opened
    inspections: Inspections

    @property
    def path(self) -> FilePath:
        """Where it stands: found in the listing, the name is never made part of a path."""
        stores = self.service.checker.library.stores()
        if self.name not in stores:
            raise JobError(
                f"no store {self.name!r}",
                fix=f"there are {', '.join(stores) or 'none'}",
                kind="not-found",
            )
        return stores[self.name]

    def open(self) -> OpenStore:
        """The store."""
        path = self.path
        with self.told():
            return self.opened.store(path)

    def rows(self, wanted: Wanted) -> np.ndarray:
        """The rows that fit."""
        return find_rows(self.open().store, wanted)

    def examples(self, rows: np.ndarray) -> list[Example]:
        """The examples at these rows."""
        return read_examples(self.open().store, rows)

    def example(self, question_id: str) -> Example:
        """One of them."""
        opened = self.open()
        row = opened.example_row.get(question_id)
        if row is None:
            raise JobError(f"no question {question_id!r}", where=self.name, kind="not-found")
        return opened.store.example(row)

    def picture(self, image_id: str) -> bytes:
        """A picture's bytes as they were published."""
        opened = self.open()
        if opened.store.manifest.text_only:
            raise JobError("was prepared from text alone", where=self.name, kind="not-found")
        with self.told():
            return opened.picture(image_id)

    def inspection(self) -> dict[str, Any] | None:
        """What `vqa inspect` tells; None while it is being counted."""
        path, fingerprint = self.path, self.open().store.fingerprint
        with self.told():
            return self.inspections.get(path, fingerprint)

    def told(self) -> AbstractContextManager[None]:
        """What cannot be read within is not there, in words without a path."""
        return absent(self.service.checker.library, self.name)


def shelf(request: Request, store: StoreName, caller: Reader) -> Shelf:
    """A dependency: the store that the address names."""
    state = request.app.state
    return Shelf(store, caller.service, state.opened, state.inspections)


OnShelf = Annotated[Shelf, Depends(shelf)]


@router.get("/stores/{store}/inspection")
def inspection(shelf: OnShelf) -> InspectionView:
    """Counts, distributions, leakage and coverage, as `vqa inspect --json` prints them."""
    found = shelf.inspection()
    return InspectionView(found=None if found is None else {**found, "store": shelf.name})


@router.get("/stores/{store}/examples")
def examples(shelf: OnShelf, wanted: Annotated[ExampleFilter, Query()]) -> ExamplesView:
    """The examples that fit a filter, a page at a time, in the store's order."""
    rows = shelf.rows(wanted.wanted())
    shown = shelf.examples(rows[wanted.start : wanted.start + wanted.limit])
    return ExamplesView(items=[example_view(one) for one in shown], total=len(rows))


@router.get("/stores/{store}/picture", response_class=Response, responses=PNG)
def picture(
    shelf: OnShelf,
    image_id: Annotated[str, Query(min_length=1, max_length=10_000)],
    side: Annotated[int, Query(ge=16, le=1024)] = 384,
) -> Response:
    """A picture as PNG, with a longer side of so many pixels."""
    from vqa.evaluation import look

    data = shelf.picture(image_id)
    with shelf.told():
        made = look.png(look.picture(data, side))
    return Response(made, media_type="image/png", headers=KEPT)


def example_view(example: Example) -> ExampleView:
    """An example as it is sent."""
    return ExampleView(**{name: getattr(example, name) for name in ExampleView.model_fields})
