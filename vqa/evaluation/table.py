"""An evaluation as a text table and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

from vqa.evaluation.result import EvaluationResult

CSV_COLUMNS = ("kind", "name", "score", "low", "high", "n")


def figure_rows(result: EvaluationResult) -> list[dict[str, Any]]:
    """One row a figure: overall, then every answer type, then every question type (keys:
    `CSV_COLUMNS`)."""
    shown = result.to_json()
    rows = [_row("overall", "", shown["overall"], shown["interval"], result.n)]
    for kind in ("per_answer_type", "per_question_type"):
        intervals = shown["intervals"].get(kind, {})
        for name, score in shown[kind].items():
            rows.append(_row(kind, name, score, intervals.get(name), shown[f"n_{kind}"][name]))
    return rows


def to_csv(result: EvaluationResult, *, per_question: bool = False) -> str:
    """The figures as CSV with a header; `per_question` adds one row a question."""
    out = io.StringIO()
    writer = csv.DictWriter(out, CSV_COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(figure_rows(result))
    if per_question:
        scores = result.to_json(per_question=True)["per_question"]
        writer.writerows(_row("question", name, score, None, 1) for name, score in scores.items())
    return out.getvalue()


def to_text(result: EvaluationResult) -> str:
    """The figures as a table for a terminal, with policies and notes below it."""
    lines = [f"{result.protocol}  {result.n} questions{_of_images(result)}"]
    rows = [
        (row["name"] or "overall", row["n"], f"{row['score']:.2f}", _bounds(row))
        for row in figure_rows(result)
    ]
    lines += columns([("", "n", "score", "95 % interval"), *rows])
    lines += [f"{name.replace('_', ' ')}: {text}" for name, text in result.policies.items()]
    lines += [
        f"{name.replace('_', ' ')}: {_brief(value)}" for name, value in result.details.items()
    ]
    lines += [f"note: {note}" for note in result.notes]
    return "\n".join(lines) + "\n"


def columns(rows: Iterable[Sequence[Any]]) -> list[str]:
    """Lines of aligned columns: the first to the left, the others to the right."""
    cells = [[printable(str(cell)) for cell in row] for row in rows]
    widths = [max(len(cell) for cell in column) for column in zip(*cells, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if at == 0 else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    ]


def printable(text: str) -> str:
    """`text` without characters that could steer a terminal, and not overlong."""
    shown = "".join(mark if mark.isprintable() else "\N{REPLACEMENT CHARACTER}" for mark in text)
    return shown if len(shown) <= 60 else shown[:59] + "…"


def _row(
    kind: str, name: str, score: float, interval: dict[str, Any] | None, count: int
) -> dict[str, Any]:
    bounds = {side: interval[side] if interval else "" for side in ("low", "high")}
    return {"kind": kind, "name": name, "score": score, **bounds, "n": count}


def _bounds(row: dict[str, Any]) -> str:
    return f"[{row['low']:.2f}, {row['high']:.2f}]" if row["low"] != "" else ""


def _of_images(result: EvaluationResult) -> str:
    return f" about {result.interval.images} images" if result.interval else ""


def _brief(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_brief(item)}" for name, item in value.items())
    if isinstance(value, list) and len(value) > 20:
        return f"{len(value)} (all of them with --json)"
    return "–" if value is None else printable(str(value))
