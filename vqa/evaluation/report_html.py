"""One self-contained HTML page about an evaluation: figures with intervals, calibration, right and
wrong answers.

Everything that comes from data is escaped, and the page's policy allows nothing but its own style
sheet (by hash) and pictures inside the page: no script, no request, whatever an answer says.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from vqa.errors import ResultError
from vqa.evaluation.calibration import calibration, prior_gap
from vqa.evaluation.charts import bars, reliability_curve
from vqa.evaluation.files import write_atomically
from vqa.evaluation.predictions import Prediction
from vqa.evaluation.result import EvaluationResult
from vqa.evaluation.table import brief, figure_rows
from vqa.formatting import shortened

SAMPLES = 12
"""So many right and so many wrong answers are shown."""

SHOWN_CHARACTERS = 200

Pictures = Callable[[Prediction], str | None]
"""Gives a prediction's picture as a data URI (image/png, jpeg, webp or gif in base64), or None."""

DATA_URI = re.compile(r"data:image/(?:png|jpeg|webp|gif);base64,[A-Za-z0-9+/]+={0,2}")

STYLE = """
:root { color-scheme: light dark; --ink: #1c2530; --soft: #5b6774; --paper: #fff; --line: #d8dee5;
  --bar: #9db8d9; --mark: #24476f; --good: #1f7a4d; --bad: #b3402a; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6ebf0; --soft: #9aa7b4; --paper: #14191f;
  --line: #33404d; --bar: #3d5f87; --mark: #b9d3f2; --good: #5fc593; --bad: #f08a72; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 1000px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: 0; } h2 { font-size: 1.1rem; margin: 2rem 0 .6rem; }
.lead { font-size: 2.4rem; font-weight: 600; margin: .4rem 0 0; } .soft { color: var(--soft); }
svg { max-width: 100%; height: auto; display: block; } svg text { font-size: 12px; fill: var(--ink);
} .tick { text-anchor: middle; fill: var(--soft); } .name { text-anchor: end; } .bar { fill:
var(--bar); } .grid, .frame { stroke: var(--line); fill: none; } .whisker { stroke: var(--mark);
stroke-width: 2; } .ideal { stroke: var(--soft); stroke-dasharray: 4 4; } .bin { fill: var(--mark);
fill-opacity: .75; } .curve { fill: none; stroke: var(--mark); stroke-width: 1.5; }
table { border-collapse: collapse; } td, th { padding: .15rem .8rem .15rem 0; text-align: left;
  vertical-align: top; overflow-wrap: anywhere; } th { font-weight: 500; color: var(--soft); }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(220px, 1fr)); gap: 1rem; }
.card { border: 1px solid var(--line); border-radius: 6px; padding: .7rem; overflow-wrap: anywhere;
} .card img { width: 100%; border-radius: 4px; } .card p { margin: .3rem 0 0; }
.right { color: var(--good); } .wrong { color: var(--bad); }
.side { display: flex; flex-wrap: wrap; gap: 2rem; align-items: center; }
"""


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
    write_atomically(path, _page(result, predictions, pictures))


def sample(predictions: Sequence[Prediction], *, right: bool) -> list[Prediction]:
    """A random sample, the same every time, of the predictions that score 50 and more, or less."""
    found = [item for item in predictions if ((item.score or 0.0) >= 50) == right]
    if len(found) <= SAMPLES:
        return found
    rows = np.random.default_rng(0).choice(len(found), SAMPLES, replace=False)
    return [found[row] for row in sorted(rows.tolist())]


def _page(
    result: EvaluationResult, predictions: Sequence[Prediction], pictures: Pictures
) -> Iterable[str]:
    digest = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    yield "<!doctype html>\n<html lang='en'>\n<head>\n<meta charset='utf-8'>\n"
    yield f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
    yield "<meta name='viewport' content='width=device-width, initial-scale=1'>\n"
    yield f"<title>{escape(result.protocol)}: {result.overall:.2f}</title>\n<style>{STYLE}</style>\n"
    yield "</head>\n<body>\n"
    yield _head(result)
    yield _figures(result)
    yield _calibration(predictions)
    yield _statements(result)
    for right, title in ((False, "Wrong answers"), (True, "Right answers")):
        yield _cards(sample(predictions, right=right), title, pictures)
    yield "</body>\n</html>\n"


def _head(result: EvaluationResult) -> str:
    interval = result.interval
    about = f"{result.n} questions"
    span = ""
    if interval is not None:
        about += f" about {interval.images} images"
        span = f" <span class='soft'>[{interval.low:.2f}, {interval.high:.2f}]</span>"
    return (
        f"<h1>{escape(result.protocol)}</h1>\n<p class='lead'>{result.overall:.2f}{span}</p>\n"
        f"<p class='soft'>{about}; scores from 0 to 100, 95 % intervals by resampling images</p>\n"
    )


def _figures(result: EvaluationResult) -> str:
    rows = figure_rows(result)
    titles = {"per_answer_type": "By answer type", "per_question_type": "By question type"}
    parts = []
    for kind, title in titles.items():
        found = [row for row in rows if row["kind"] == kind]
        if found:
            parts.append(f"<h2>{title}</h2>\n{bars(found, title)}\n")
    return "".join(parts)


def _calibration(predictions: Sequence[Prediction]) -> str:
    found = calibration(predictions)
    gap = prior_gap(predictions)
    parts = []
    if found is not None:
        title = "Confidence and score"
        rows = [
            (f"most confident {one['coverage']} %", f"{one['score']:.2f}")
            for one in found["coverage"]
        ]
        curve = reliability_curve(found["reliability"], title)
        error = f"<p>Expected calibration error {found['ece']:.2f}.</p>"
        parts.append(f"<h2>{title}</h2>\n{error}<div class='side'>{curve}{_table(rows)}</div>\n")
    if gap is not None:
        text = (
            f"{gap['common']:.2f} where the right answer is the usual one for its type ({gap['n_common']} "
            f"questions), {gap['rare']:.2f} elsewhere ({gap['n_rare']}): a gap of {gap['gap']:.2f}."
        )
        parts.append(f"<h2>Usual and unusual answers</h2>\n<p>{text}</p>\n")
    return "".join(parts)


def _statements(result: EvaluationResult) -> str:
    rows = [(name.replace("_", " "), text) for name, text in result.policies.items()]
    rows += [(name.replace("_", " "), _plain(value)) for name, value in result.details.items()]
    notes = "".join(f"<li>{escape(note)}</li>" for note in result.notes)
    parts = [f"<h2>Rules and details</h2>\n{_table(rows)}\n"] if rows else []
    return "".join([*parts, f"<ul>{notes}</ul>\n" if notes else ""])


def _cards(found: Sequence[Prediction], title: str, pictures: Pictures) -> str:
    if not found:
        return ""
    cards = "".join(_card(item, pictures(item)) for item in found)
    return f"<h2>{title}</h2>\n<div class='cards'>\n{cards}</div>\n"


def _card(item: Prediction, picture: str | None) -> str:
    image = ""
    if picture is not None:
        if not DATA_URI.fullmatch(picture):
            raise ResultError(
                "the picture is no data URI of an image", where=f"question {item.question_id}"
            )
        image = f"<img alt='' src='{picture}'>"
    score = item.score or 0.0
    said = "nothing" if item.answer is None else shortened(item.answer, SHOWN_CHARACTERS)
    sure = "" if item.confidence is None else f", {100 * item.confidence:.0f} % sure"
    kind = "right" if score >= 50 else "wrong"
    return (
        f"<div class='card'>{image}<p>{escape(shortened(item.question, SHOWN_CHARACTERS))}</p>"
        f"<p class='{kind}'>{escape(said)} <span class='soft'>({score:.0f}{sure})</span></p>"
        f"<p class='soft'>right: {escape(_truth(item))}</p>"
        f"<p class='soft'>question {escape(shortened(item.question_id, SHOWN_CHARACTERS))}</p></div>\n"
    )


def _truth(item: Prediction) -> str:
    if item.choices and item.label >= 0:
        others = [choice for at, choice in enumerate(item.choices) if at != item.label]
        return shortened(f"{item.choices[item.label]} (not {', '.join(others)})", SHOWN_CHARACTERS)
    return shortened(", ".join(dict.fromkeys(item.answers)), SHOWN_CHARACTERS)


def _table(rows: Sequence[tuple[str, str]]) -> str:
    body = "".join(
        f"<tr><th>{escape(name)}</th><td>{escape(text)}</td></tr>" for name, text in rows
    )
    return f"<table>{body}</table>"


def _plain(value: Any) -> str:
    return shortened(value if isinstance(value, str) else brief(value), 400)
