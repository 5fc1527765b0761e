"""One self-contained HTML page about an evaluation: figures with intervals, calibration, right and
wrong answers.

Everything that comes from data is escaped, and the page's policy allows nothing but its own style
sheet (by hash) and pictures inside the page: no script, no request, whatever an answer says.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vqa.errors import ResultError
from vqa.evaluation.calibration import calibration, prior_gap
from vqa.evaluation.charts import bars, reliability_curve
from vqa.evaluation.files import write_atomically
from vqa.evaluation.predictions import Prediction
from vqa.evaluation.result import EvaluationResult
from vqa.evaluation.standalone import standalone
from vqa.evaluation.table import brief, figure_rows
from vqa.formatting import shortened

SAMPLES = 12
"""So many right and so many wrong answers are shown."""

SHOWN_CHARACTERS = 200

Pictures = Callable[[Prediction], str | None]
"""Gives a prediction's picture as a data URI (image/png, jpeg, webp or gif in base64), or None."""

DATA_URI = re.compile(r"data:image/(?:png|jpeg|webp|gif);base64,[A-Za-z0-9+/]+={0,2}")
TEMPLATE = Path(__file__).parent / "templates" / "report.html.j2"
KINDS = {"per_answer_type": "By answer type", "per_question_type": "By question type"}


def write_report(
    path: Path, result: EvaluationResult, predictions: Sequence[Prediction], pictures: Pictures
) -> None:
    """Write the page, whole or not at all.

    Args:
        path: the HTML file.
        result: of the evaluation.
        predictions: scored; `result.predictions` or a part of it.
        pictures: called for the sampled predictions only.

    Raises:
        ResultError: a prediction has no score, or a picture is no data URI of an image.
    """
    sure = calibration(predictions)
    page = standalone(
        TEMPLATE,
        sources="img-src data:; ",
        filters={"short": lambda text: shortened(text, SHOWN_CHARACTERS)},
        result=result,
        figures=[*_figures(result)],
        calibration=sure,
        curve=sure and reliability_curve(sure["reliability"], "Confidence and score"),
        coverage=[*_coverage(sure)] if sure else [],
        gap=prior_gap(predictions),
        statements=[*_statements(result)],
        samples=[
            ("Wrong answers", sample(predictions, right=False)),
            ("Right answers", sample(predictions, right=True)),
        ],
        picture=lambda item: _checked(item, pictures(item)),
        truth=_truth,
    )
    write_atomically(path, page)


def sample(predictions: Sequence[Prediction], *, right: bool) -> list[Prediction]:
    """A random sample, the same every time, of the predictions that score 50 and more, or less."""
    found = [item for item in predictions if ((item.score or 0.0) >= 50) == right]
    if len(found) <= SAMPLES:
        return found
    rows = np.random.default_rng(0).choice(len(found), SAMPLES, replace=False)
    return [found[row] for row in sorted(rows.tolist())]


def _figures(result: EvaluationResult) -> Iterator[tuple[str, str]]:
    rows = figure_rows(result)
    for kind, title in KINDS.items():
        if found := [row for row in rows if row["kind"] == kind]:
            yield title, bars(found, title)


def _coverage(sure: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for one in sure["coverage"]:
        yield f"most confident {one['coverage']} %", f"{one['score']:.2f}"


def _statements(result: EvaluationResult) -> Iterator[tuple[str, str]]:
    for name, text in result.policies.items():
        yield name.replace("_", " "), text
    for name, value in result.details.items():
        text = value if isinstance(value, str) else brief(value)
        yield name.replace("_", " "), shortened(text, 400)


def _checked(item: Prediction, picture: str | None) -> str | None:
    if picture is not None and not DATA_URI.fullmatch(picture):
        raise ResultError(
            "the picture is no data URI of an image", where=f"question {item.question_id}"
        )
    return picture


def _truth(item: Prediction) -> str:
    if item.choices and item.label >= 0:
        others = [choice for at, choice in enumerate(item.choices) if at != item.label]
        return f"{item.choices[item.label]} (not {', '.join(others)})"
    return ", ".join(dict.fromkeys(item.answers))
