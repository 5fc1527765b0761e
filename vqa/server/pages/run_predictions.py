"""The browser of a run's predictions, and one prediction looked at closely."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse
from pydantic import Field
from typing_extensions import override

from vqa.errors import JobError
from vqa.evaluation.browse import VERDICTS, verdict_of
from vqa.evaluation.predictions import Prediction
from vqa.server.api.dependencies import Looked, OpenPages
from vqa.server.api.runs import PredictionFilter
from vqa.server.pages.filters import FilterForm, checked
from vqa.server.watched import Watched

CARDS = 24
TYPES_SHOWN = 500
"""Types that a filter offers; the commonest."""

router = APIRouter(include_in_schema=False)


class Browsed(FilterForm):
    """Which predictions."""

    split: str = ""
    verdict: str = ""
    question_type: str = ""
    answer_type: str = ""
    text: str = ""
    start: str = ""

    def wanted(self) -> PredictionFilter:
        """The same, checked.

        Raises:
            JobError: a field holds what no filter could.
        """
        return checked(PredictionFilter, {**self.filled("split", "question"), "limit": CARDS})

    @override
    def query(self, **changes: object) -> str:
        return super().query(**{"question": None, **changes})


class Opened(Browsed):
    """One of them, and the filter by which it was found."""

    question: str = Field(min_length=1, max_length=10_000)


@dataclass(frozen=True)
class Option:
    """A choice, or a likely answer, of a prediction.

    Attributes:
        share: its probability by the model, 0 to 1; None where the model cannot say it.
        score: as the model gave it; None where there is none but the probability.
    """

    text: str
    share: float | None
    score: float | None
    right: bool
    chosen: bool


Asked = Annotated[Browsed, Query()]
AskedOne = Annotated[Opened, Query()]


@router.get("/jobs/{job}/predictions")
def browser(request: Request, watched: Looked, asked: Asked, made: OpenPages) -> HTMLResponse:
    """All predictions of a split, a page at a time."""
    return made.page(request, "predictions.html.j2", **_cards(watched, asked))


@router.get("/jobs/{job}/predictions/cards")
def cards(request: Request, watched: Looked, asked: Asked, made: OpenPages) -> HTMLResponse:
    """The same as a piece of the run's page."""
    return made.page(request, "predictions_cards.html.j2", **_cards(watched, asked))


@router.get("/jobs/{job}/prediction")
def prediction(request: Request, watched: Looked, asked: AskedOne, made: OpenPages) -> HTMLResponse:
    """One prediction with its neighbours among those that fit the filter."""
    split = _split(watched, asked)
    item = watched.prediction(split, asked.question)
    before, behind = watched.index(split).beside(asked.wanted().query(), asked.question)
    return made.page(
        request,
        "prediction.html.j2",
        job_id=watched.job,
        job_name=watched.name,
        split=split,
        asked=asked,
        item=item,
        verdict=verdict_of(item.score),
        options=options(item),
        said=Counter(item.answers).most_common(),
        blind=watched.blindness(),
        sees=watched.sees,
        before=_question_query(asked, before),
        behind=_question_query(asked, behind),
        source=_source(split, item),
    )


@router.get("/jobs/{job}/prediction/explained")
def explained(request: Request, watched: Looked, asked: AskedOne, made: OpenPages) -> HTMLResponse:
    """Where the model looks and what its question encoder holds, computed now: a piece of a prediction's page."""
    split = _split(watched, asked)
    item = watched.prediction(split, asked.question)
    answer, no_answer = _tried(lambda: watched.answer(item))
    states, no_states = _tried(lambda: watched.words(item))
    return made.page(
        request,
        "prediction_explained.html.j2",
        job_id=watched.job,
        item=item,
        source=_source(split, item),
        glimpses=0 if answer is None or answer.attention is None else len(answer.attention),
        answer=answer,
        no_answer=no_answer,
        states=states,
        no_states=no_states,
    )


def options(item: Prediction) -> list[Option]:
    """The choices in their order with the model's probabilities, or its likeliest answers, best first."""
    if not item.choices:
        right = set(item.answers)
        return [
            Option(text, share, None, text in right, text == item.answer)
            for text, share in item.top
        ]
    scores = item.choice_scores or [None] * len(item.choices)
    right_text = item.choices[item.label] if item.label >= 0 else None
    return [
        Option(text, share, score, text == right_text, text == item.answer)
        for text, score, share in zip(item.choices, scores, shares(scores), strict=True)
    ]


def shares(scores: Sequence[float | None]) -> list[float | None]:
    """Probabilities of the choices that can be said (softmax); None for the others."""
    sayable = [score for score in scores if score is not None]
    if not sayable:
        return [None] * len(scores)
    best = max(sayable)
    weights = [None if score is None else math.exp(score - best) for score in scores]
    total = sum(weight for weight in weights if weight is not None)
    return [None if weight is None else weight / total for weight in weights]


def _cards(watched: Watched, asked: Browsed) -> dict[str, Any]:
    splits = list(watched.service.predictions(watched.job))
    if not splits:
        return {"splits": splits, "job_id": watched.job, "job_name": watched.name}
    split, wanted = _split(watched, asked), asked.wanted()
    index = watched.index(split)
    page = index.page(wanted.query(), wanted.start, wanted.limit)
    end = wanted.start + wanted.limit
    return {
        "job_id": watched.job,
        "job_name": watched.name,
        "splits": splits,
        "asked": asked,
        "split": split,
        "verdicts": [(name, index.verdicts[name]) for name in VERDICTS if index.verdicts[name]],
        "question_types": _offered(index.question_types),
        "answer_types": _offered(index.answer_types),
        "skipped": index.skipped,
        "total": page.total,
        "first": wanted.start + 1,
        "last": min(end, page.total),
        "earlier": asked.query(start=max(0, wanted.start - CARDS)) if wanted.start else None,
        "later": asked.query(start=end) if end < page.total else None,
        "blind": watched.blindness(),
        "cards": [
            {
                "item": item,
                "verdict": verdict_of(item.score),
                "options": options(item),
                "source": _source(split, item),
                "query": _question_query(asked, item.question_id),
            }
            for item in page.items
        ],
    }


def _split(watched: Watched, asked: Browsed) -> str:
    """The split that was asked for; the first one where none was."""
    splits = list(watched.service.predictions(watched.job))
    if not asked.split and not splits:
        raise JobError("has no predictions yet", where=watched.job, kind="not-found")
    return asked.split or splits[0]


def _offered(types: dict[str, int]) -> list[tuple[str, int]]:
    return [(name, count) for name, count in types.items() if name][:TYPES_SHOWN]


def _question_query(asked: Browsed, question: str | None) -> str | None:
    """The address of a prediction's page behind its ?; the filter goes along, so that one can go on from it."""
    if question is None:
        return None
    rest = asked.query(start="")
    return urlencode({"question": question}) + (f"&{rest}" if rest else "")


def _source(split: str, item: Prediction) -> dict[str, str]:
    """Parts of the addresses under which programs find a prediction, quoted."""
    return {"split": quote(split, safe=""), "query": urlencode({"question": item.question_id})}


def _tried(ask: Any) -> tuple[Any, str]:
    """What comes of it, or why nothing does."""
    try:
        return ask(), ""
    except JobError as error:
        return None, error.what
