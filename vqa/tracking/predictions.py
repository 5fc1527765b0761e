"""The predictions of a run as a table of a dashboard: a bounded sample, the same questions in every run of a group."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from typing import Any

from vqa.evaluation.predictions import Prediction

COLUMNS = (
    "question_id",
    "image_id",
    "question",
    "question_type",
    "answer_type",
    "choices",
    "right",
    "answer",
    "score",
    "confidence",
)
"""Of every run's table; `question_id` joins them."""


def joined_rows(predictions: Sequence[Prediction], count: int) -> list[list[Any]]:
    """The rows of the table, sorted by question id.

    Args:
        count: rows at most: the questions whose ids have the smallest SHA-256. Nothing that a model says moves the
            choice, and a smaller count gives a part of what a larger one gives.
    """
    chosen = sorted(predictions, key=lambda item: _place(item.question_id))[:count]
    return [_row(item) for item in sorted(chosen, key=lambda item: item.question_id)]


def right_answer(prediction: Prediction) -> str:
    """The right choice, or what people answered, most frequent first; "" where it is withheld."""
    if prediction.label >= 0:
        return prediction.choices[prediction.label]
    return " / ".join(answer for answer, _ in Counter(prediction.answers).most_common())


def _place(question_id: str) -> bytes:
    return hashlib.sha256(question_id.encode(errors="surrogatepass")).digest()


def _row(item: Prediction) -> list[Any]:
    return [
        item.question_id,
        item.image_id,
        item.question,
        item.question_type,
        item.answer_type,
        " / ".join(item.choices),
        right_answer(item),
        item.answer,
        item.score,
        item.confidence,
    ]
