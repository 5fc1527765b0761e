"""The Data pages: which stores there are, and what is in one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from vqa.errors import JobError
from vqa.server.api.asking import Reader
from vqa.server.api.stores import ExampleFilter, OnShelf, Shelf
from vqa.server.pages.filters import FilterForm, checked
from vqa.server.pages.signin import OpenPages

CARDS, TOP, REJECTED_SHOWN = 24, 30, 100
CHARTS = {
    "lengths": ("Words a question", "words"),
    "answers": ("Most frequent answers", "questions"),
    "question_types": ("Question types", "questions"),
    "answer_types": ("Answer types", "questions"),
    "choices": ("Choices a question", "choices"),
    "places": ("Place of the right choice", "place"),
}

router = APIRouter(include_in_schema=False)


class Browsed(FilterForm):
    """Which examples."""

    split: str = ""
    question_type: str = ""
    answer_type: str = ""
    text: str = ""
    image_id: str = ""
    start: str = ""

    def wanted(self) -> ExampleFilter:
        """The same, checked.

        Raises:
            JobError: a field holds what no filter could.
        """
        return checked(ExampleFilter, {**self.filled(), "limit": CARDS})


Asked = Annotated[Browsed, Query()]


@router.get("/data")
def stores(request: Request, caller: Reader, made: OpenPages) -> HTMLResponse:
    """All stores."""
    return made.page(request, "stores.html.j2", stores=caller.service.stores())


@router.get("/data/{store}")
def store(request: Request, shelf: OnShelf, asked: Asked, made: OpenPages) -> HTMLResponse:
    """One store, with a browser of its examples."""
    return made.page(
        request,
        "store.html.j2",
        manifest=shelf.open().store.manifest,
        rejected=shelf.open().store.rejected(REJECTED_SHOWN),
        **_counted(shelf),
        **_cards(shelf, asked),
    )


@router.get("/data/{store}/counts")
def counts(request: Request, shelf: OnShelf, made: OpenPages) -> HTMLResponse:
    """What was counted, as a piece of the page."""
    return made.page(request, "store_counts.html.j2", store=shelf.name, **_counted(shelf))


@router.get("/data/{store}/examples")
def examples(request: Request, shelf: OnShelf, asked: Asked, made: OpenPages) -> HTMLResponse:
    """The browser alone, as a page of its own."""
    return made.page(request, "store_examples.html.j2", **_cards(shelf, asked))


@router.get("/data/{store}/charts/{key}")
def chart(shelf: OnShelf, key: str) -> dict[str, Any]:
    """A distribution over splits, for plotly."""
    found = shelf.inspection()
    if key not in CHARTS or found is None:
        raise JobError(f"no chart {key!r}", where=shelf.name, kind="not-found")
    return _figure(key, distribution(found, key))


def distribution(found: Mapping[str, Any], key: str) -> dict[str, dict[str, int]]:
    """Split → value → questions, from what was inspected; without splits that have none."""
    taken = {name: _of_split(split, key) for name, split in found["splits"].items()}
    return {name: values for name, values in taken.items() if values}


def _of_split(split: Mapping[str, Any], key: str) -> dict[str, int]:
    if key == "lengths":
        return dict(split["question_words"]["counts"])
    if key == "answers":
        return dict(split["answers"]["top"])
    if key in ("choices", "places"):
        name = "per_question" if key == "choices" else "right_place"
        return dict((split["choices"] or {}).get(name, {}))
    return dict(list(split[key].items())[:TOP])


def _figure(key: str, found: Mapping[str, Mapping[str, int]]) -> dict[str, Any]:
    """Bars beside each other, in per cent of a split, so that small splits are seen too."""
    across = key in ("answers", "question_types", "answer_types")
    bars = []
    for at, (name, values) in enumerate(found.items()):
        labels, shares = list(values), _shares(values)
        bars.append(
            {
                "type": "bar",
                "name": name,
                "x": shares if across else labels,
                "y": labels if across else shares,
                "orientation": "h" if across else "v",
                "marker": {"color": f"--series-{at % 8 + 1}"},
                "hovertemplate": "%{y}: %{x:.1f} %" if across else "%{x}: %{y:.1f} %",
            }
        )
    share = {"title": {"text": "% of the split's questions"}}
    named = {"title": {"text": CHARTS[key][1]}, "type": "category"}
    if across:
        named = {"type": "category", "autorange": "reversed"}
    layout: dict[str, Any] = {
        "xaxis": share if across else named,
        "yaxis": named if across else share,
    }
    if across:
        rows = max((len(values) for values in found.values()), default=1)
        layout["height"] = 120 + 18 * rows * max(1, len(found) // 2)
    return {"data": bars, "layout": {"barmode": "group", **layout}}


def _shares(values: Mapping[str, int]) -> list[float]:
    total = sum(values.values()) or 1
    return [round(100 * value / total, 3) for value in values.values()]


def _counted(shelf: Shelf) -> dict[str, Any]:
    """What was counted so far, or why nothing can be."""
    try:
        found, fault = shelf.inspection(), ""
    except JobError as error:
        found, fault = None, error.what
    charts = {
        key: {"title": title, "values": values}
        for key, (title, _) in CHARTS.items()
        if found is not None and (values := distribution(found, key))
    }
    return {"found": found, "fault": fault, "charts": charts}


def _cards(shelf: Shelf, asked: Browsed) -> dict[str, Any]:
    """A page of examples and what a filter offers."""
    wanted = asked.wanted()
    store = shelf.open().store
    rows = shelf.rows(wanted.wanted())
    shown = rows[wanted.start : wanted.start + CARDS]
    earlier = None if wanted.start == 0 else asked.query(start=max(0, wanted.start - CARDS))
    later = asked.query(start=wanted.start + CARDS) if wanted.start + CARDS < len(rows) else None
    return {
        "store": shelf.name,
        "asked": asked,
        "splits": list(store.manifest.splits),
        "text_only": store.manifest.text_only,
        "question_types": store_values(shelf, "question_type"),
        "answer_types": store_values(shelf, "answer_type"),
        "cards": [
            {
                "example": one,
                "query": urlencode({"image_id": one.image_id}),
                "ask": _ask(shelf, one.question_id),
            }
            for one in shelf.examples(shown)
        ],
        "total": len(rows),
        "first": wanted.start + 1,
        "last": wanted.start + len(shown),
        "earlier": earlier,
        "later": later,
    }


def _ask(shelf: Shelf, question_id: str) -> str:
    return urlencode({"store": shelf.name, "question_id": question_id})


def store_values(shelf: Shelf, column: str) -> list[str]:
    """The distinct values of a column that a filter offers, the commonest first; nothing where all are empty."""
    import pyarrow.compute as pc

    counts = pc.value_counts(shelf.open().store.examples.data.column(column)).to_pylist()
    ranked = sorted(counts, key=lambda one: (-one["counts"], one["values"]))
    return [one["values"] for one in ranked[:500] if one["values"]]
