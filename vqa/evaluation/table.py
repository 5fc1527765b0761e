"""An evaluation as a text table and as CSV."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any

from vqa.evaluation.result import EvaluationResult
from vqa.formatting import aligned, plain

CSV_COLUMNS = ("protocol", "kind", "name", "score", "low", "high", "n")
CELL = 60
"""Characters of a cell."""
FORMULA = ("=", "+", "-", "@", "\t", "\r")


def figure_rows(result: EvaluationResult) -> list[dict[str, Any]]:
    """One row a figure: overall, then every answer type, then every question type (keys:
    `CSV_COLUMNS` but the first)."""
    shown = result.to_json()
    rows = [_row("overall", "", shown["overall"], shown["interval"], result.n)]
    for kind in ("per_answer_type", "per_question_type"):
        intervals = shown["intervals"].get(kind, {})
        for name, score in shown[kind].items():
            rows.append(_row(kind, name, score, intervals.get(name), shown[f"n_{kind}"][name]))
    return rows


def to_csv(results: Sequence[EvaluationResult], *, per_question: bool = False) -> str:
    """The figures as CSV with a header; `per_question` adds one row a question."""
    rows = []
    for result in results:
        found = figure_rows(result)
        if per_question:
            scores = result.to_json(per_question=True)["per_question"]
            found += [_row("question", name, score, None, 1) for name, score in scores.items()]
        rows += [[result.protocol, *row.values()] for row in found]
    return csv_text(CSV_COLUMNS, rows)


def csv_text(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Rows as CSV. A text that a spreadsheet would take for a formula gets an apostrophe in front."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([_cell(value) for value in row] for row in rows)
    return out.getvalue()


def _cell(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value


def to_text(result: EvaluationResult) -> str:
    """The figures as a table for a terminal, with policies and notes below it."""
    lines = [f"{result.protocol}  {result.n} questions{_of_images(result)}"]
    rows: list[Sequence[Any]] = [("", "n", "score", "95 % interval")]
    for kind, found in itertools.groupby(figure_rows(result), key=itemgetter("kind")):
        rows += [(kind.replace("_", " "), "", "", "")] if kind != "overall" else []
        rows += [_figures(row) for row in found]
    lines += columns(rows)
    lines += [f"{name.replace('_', ' ')}: {text}" for name, text in result.policies.items()]
    lines += [f"{name.replace('_', ' ')}: {brief(value)}" for name, value in result.details.items()]
    lines += [f"note: {note}" for note in result.notes]
    return "\n".join(lines) + "\n"


def columns(rows: Iterable[Sequence[Any]]) -> list[str]:
    """Lines of aligned columns, whatever the cells hold: the first to the left, the others to the right."""
    return aligned([[plain(str(cell), CELL) for cell in row] for row in rows])


def figures_text(fields: Mapping[str, Any]) -> str:
    """The figures of an evaluation's JSON object for a terminal: overall and by type; its notes where it has none."""
    if "overall" not in fields:
        return "\n".join(fields.get("notes", []))
    title = f"{fields['protocol']}, split {fields.get('split', '?')}"
    overall = (fields["overall"], fields.get("interval"), fields["n"])
    rows = [(title, "score", "95 % interval", "questions"), _cells("overall", *overall)]
    for kind in ("per_answer_type", "per_question_type"):
        if scores := fields.get(kind):
            rows.append((kind.replace("_", " "), "", "", ""))
            intervals = fields.get("intervals", {}).get(kind, {})
            counts = fields.get(f"n_{kind}", {})
            rows += [
                _cells(f"  {plain(name, CELL)}", score, intervals.get(name), counts.get(name, ""))
                for name, score in scores.items()
            ]
    return "\n".join(aligned(rows))


def _cells(
    name: str, score: float, interval: Mapping[str, Any] | None, count: int | str
) -> tuple[str, str, str, str]:
    bounds = f"{interval['low']:.2f} … {interval['high']:.2f}" if interval else ""
    return name, f"{score:.2f}", bounds, str(count)


def _row(
    kind: str, name: str, score: float, interval: dict[str, Any] | None, count: int
) -> dict[str, Any]:
    bounds = {side: interval[side] if interval else "" for side in ("low", "high")}
    return {"kind": kind, "name": name, "score": score, **bounds, "n": count}


def _bounds(row: dict[str, Any]) -> str:
    return f"[{row['low']:.2f}, {row['high']:.2f}]" if row["low"] != "" else ""


def _figures(row: dict[str, Any]) -> Sequence[Any]:
    name = "overall" if row["kind"] == "overall" else f"  {row['name']}"
    return name, row["n"], f"{row['score']:.2f}", _bounds(row)


def _of_images(result: EvaluationResult) -> str:
    return f" about {result.interval.images} images" if result.interval else ""


def brief(value: Any) -> str:
    """A JSON value in a line, without brackets; long lists are counted."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {brief(item)}" for name, item in value.items())
    if isinstance(value, list) and len(value) > 20:
        return f"{len(value)} (all of them with --json)"
    return "–" if value is None else plain(str(value), 400)
