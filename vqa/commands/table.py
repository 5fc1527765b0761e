"""Figures as plain text for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def align(rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """Columns side by side: the first `left` of them to the left, the others to the right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if column < left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def figures(result: Mapping[str, Any]) -> str:
    """An evaluation: overall and by type, with intervals and counts."""
    from vqa.evaluation.table import printable

    if "overall" not in result:
        return "\n".join(result.get("notes", []))
    rows = [
        [
            f"{result['protocol']}, split {result.get('split', '?')}",
            "score",
            "95 % interval",
            "questions",
        ]
    ]
    rows.append(
        ["overall", f"{result['overall']:.2f}", _interval(result.get("interval")), str(result["n"])]
    )
    for kind in ("answer_type", "question_type"):
        if result.get(f"per_{kind}"):
            rows.append([f"per {kind.replace('_', ' ')}", "", "", ""])
        intervals = result.get("intervals", {}).get(f"per_{kind}", {})
        counts = result.get(f"n_per_{kind}", {})
        for name, score in result.get(f"per_{kind}", {}).items():
            rows.append(
                [
                    f"  {printable(name)}",
                    f"{score:.2f}",
                    _interval(intervals.get(name)),
                    str(counts.get(name, "")),
                ]
            )
    return align(rows)


def _interval(interval: Mapping[str, Any] | None) -> str:
    return "" if not interval else f"{interval['low']:.2f} … {interval['high']:.2f}"
