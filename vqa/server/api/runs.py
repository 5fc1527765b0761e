"""What a run learnt and said: its curves, its predictions one page at a time, and one of them looked at closely."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Depends, Query
from fastapi.responses import Response
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from vqa.errors import JobError
from vqa.evaluation.browse import Query as Wanted
from vqa.evaluation.browse import Verdict, verdict_of
from vqa.evaluation.predictions import Prediction
from vqa.jobs.views import View
from vqa.server.api.dependencies import Looked, SplitName

MOST_AT_ONCE = 200
PNG: dict[int | str, dict[str, Any]] = {200: {"content": {"image/png": {}}}}
KEPT = {"Cache-Control": "private, max-age=600"}
"""A browser may keep a picture; its address says of which question it is."""

router = APIRouter(tags=["runs"])


class CurveView(View):
    """One name's values over a run, see `Curve`; null for a gap."""

    steps: list[float | None]
    means: list[float | None]
    lows: list[float | None]
    highs: list[float | None]
    records: int
    odd: int
    last: float | None


class CurvesView(View):
    """A journal's curves by name, downsampled and not truncated.

    Attributes:
        records: of the journal.
        skipped: damaged lines.
        last_step: of the last record.
    """

    records: int
    skipped: int
    last_step: int | None
    curves: dict[str, CurveView]


class PredictionView(View):
    """What a model said to one question, beside what is right; see `Prediction`."""

    question_id: str
    image_id: str
    split: str
    question_type: str
    answer_type: str
    question: str
    answer: str | None
    answers: list[str]
    choices: list[str]
    label: int
    choice_scores: list[float | None]
    top: list[tuple[str, float]]
    confidence: float | None
    score: float | None
    verdict: Verdict


class PredictionsView(View):
    """Some predictions of a split.

    Attributes:
        total: how many fit the filter.
        in_all: how many there are.
        skipped: lines of the file that are no predictions.
        question_types, answer_types, verdicts: how many predictions have each, whatever the filter.
    """

    items: list[PredictionView]
    total: int
    in_all: int
    skipped: int
    question_types: dict[str, int]
    answer_types: dict[str, int]
    verdicts: dict[Verdict, int]


class WordStatesView(View):
    """One recurrent layer's pass over a question.

    Attributes:
        words: as the model read them.
        states: the hidden units after each word, −1 to 1; [words, units].
        gates: how far each gate is open, 0 to 1; [words, units] each.
        ranked: the units, those first that vary most over the words.
        layer, layers: which layer, from 0, of how many.
        directions: 2 where half of the units read from the end.
    """

    words: list[str]
    states: list[list[float]]
    gates: dict[str, list[list[float]]]
    ranked: list[int]
    layer: int
    layers: int
    directions: int


class PredictionFilter(BaseModel):
    """Which predictions to list; empty fields choose nothing.

    Attributes:
        verdict: by their score.
        question_type, answer_type: exactly these.
        text: stands in the question, the model's answer or a right one.
        start: so many of those that fit come before.
    """

    model_config = ConfigDict(extra="forbid")

    verdict: Verdict | None = None
    question_type: str | None = Field(default=None, max_length=10_000)
    answer_type: str | None = Field(default=None, max_length=10_000)
    text: str | None = Field(default=None, max_length=1000)
    start: int = Field(default=0, ge=0, lt=1 << 53)
    limit: int = Field(default=24, ge=1, le=MOST_AT_ONCE)

    def query(self) -> Wanted:
        """The same for the index."""
        return Wanted(self.verdict, self.question_type, self.answer_type, self.text)


QuestionId = Annotated[str, Query(min_length=1, max_length=10_000, description="A question's id.")]


def chosen_prediction(watched: Looked, split: SplitName, question: QuestionId) -> Prediction:
    """A dependency: the prediction that the address names."""
    return watched.prediction(split, question)


Chosen = Annotated[Prediction, Depends(chosen_prediction)]


@router.get("/jobs/{job}/curves")
def curves(
    watched: Looked,
    name: Annotated[Sequence[str], Query(max_length=100)] = (),
) -> CurvesView:
    """Everything in the journal, or some names, each in some hundred buckets with least, mean and greatest."""
    return CurvesView.model_validate(watched.curves(list(name) or None).to_json())


@router.get("/jobs/{job}/predictions/{split}/items")
def items(
    watched: Looked, split: SplitName, wanted: Annotated[PredictionFilter, Query()]
) -> PredictionsView:
    """The predictions that fit a filter, a page at a time, in the file's order."""
    index = watched.index(split)
    page = index.page(wanted.query(), wanted.start, wanted.limit)
    return PredictionsView(
        items=[prediction_view(item) for item in page.items],
        total=page.total,
        in_all=len(index),
        skipped=index.skipped,
        question_types=index.question_types,
        answer_types=index.answer_types,
        verdicts=index.verdicts,
    )


@router.get("/jobs/{job}/predictions/{split}/item")
def item(found: Chosen) -> PredictionView:
    """One prediction."""
    return prediction_view(found)


@router.get("/jobs/{job}/predictions/{split}/picture", response_class=Response, responses=PNG)
def picture(
    watched: Looked, found: Chosen, side: Annotated[int, Query(ge=16, le=1024)] = 384
) -> Response:
    """The question's picture as PNG, with a longer side of so many pixels."""
    from vqa.data.image import png
    from vqa.evaluation import look

    data = watched.picture(found.image_id)
    with watched.told():
        made = png(look.picture(data, side))
    return Response(made, media_type="image/png", headers=KEPT)


@router.get("/jobs/{job}/predictions/{split}/attention", response_class=Response, responses=PNG)
def attention(
    watched: Looked, found: Chosen, glimpse: Annotated[int, Query(ge=1, le=1000)] = 1
) -> Response:
    """Where one glimpse of the model looks, over the picture, as PNG."""
    from vqa.data.image import png
    from vqa.evaluation import look
    from vqa.evaluation.attention_map import overlay

    answer = watched.answer(found)
    maps = () if answer.attention is None else answer.attention
    if glimpse > len(maps):
        raise JobError(f"the model has {len(maps)} glimpses", where="glimpse", kind="not-found")
    data = watched.picture(found.image_id)
    with watched.told():
        made = png(overlay(look.picture(data, seen=watched.model()), maps[glimpse - 1]))
    return Response(made, media_type="image/png", headers=KEPT)


@router.get("/jobs/{job}/predictions/{split}/words")
def words(
    watched: Looked, found: Chosen, layer: Annotated[int | None, Query(ge=0, le=64)] = None
) -> WordStatesView:
    """What a layer of the recurrent question encoder held after each word; the last layer where none is named."""
    states = watched.words(found, layer)
    return WordStatesView(
        words=states.words,
        states=_rounded(states.states),
        gates={name: _rounded(values) for name, values in states.gates.items()},
        ranked=states.ranked(),
        layer=states.layer,
        layers=states.layers,
        directions=states.directions,
    )


def prediction_view(item: Prediction) -> PredictionView:
    """A prediction as it is sent."""
    return PredictionView(**item.to_json(), verdict=verdict_of(item.score))


def _rounded(values: NDArray[np.float32]) -> list[list[float]]:
    rounded: list[list[float]] = values.astype(np.float64).round(4).tolist()
    return rounded
