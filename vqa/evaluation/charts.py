"""Two small charts as inline SVG: figures with intervals, and the reliability curve. Escaped,
no scripts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from markupsafe import Markup

from vqa.formatting import shortened

ROW, LABEL, WIDTH = 22, 210, 420
"""Height of a row, width of the labels, width of the scale from 0 to 100; in pixels."""


def bars(rows: Sequence[Mapping[str, Any]], title: str) -> Markup:
    """Horizontal bars from 0 to 100 with their intervals.

    Args:
        rows: `name`, `score`, `low` and `high` ("" where there is no interval), `n`; as
            `table.figure_rows` gives.
        title: read out where the picture cannot be seen.
    """
    height = ROW * len(rows) + 24
    parts = [_open(LABEL + WIDTH + 150, height, title), _grid(height)]
    parts += [_bar(row, at * ROW + 4) for at, row in enumerate(rows)]
    return Markup("".join([*parts, "</svg>"]))


def reliability_curve(curve: Sequence[Mapping[str, float]], title: str) -> Markup:
    """Mean score against mean confidence, bins as circles whose area follows their count."""
    size, edge = 300, 40
    most = max(one["n"] for one in curve)
    parts = [_open(size + 2 * edge, size + 2 * edge, title)]
    parts += [_axes(size, edge)]
    points = [
        (edge + size * one["confidence"] / 100, edge + size * (1 - one["score"] / 100), one)
        for one in curve
    ]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in points)
    parts.append(f'<polyline points="{path}" class="curve"/>')
    for x, y, one in points:
        radius = 2.5 + 7 * (one["n"] / most) ** 0.5
        hint = f"confidence {one['confidence']:.1f}, score {one['score']:.1f}, {one['n']:.0f} questions"
        parts.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}" class="bin"><title>{hint}</title></circle>'
        )
    return Markup("".join([*parts, "</svg>"]))


def _open(width: int, height: int, title: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}"><title>{escape(title)}</title>'
    )


def _grid(height: int) -> str:
    lines = []
    for value in (0, 25, 50, 75, 100):
        x = LABEL + WIDTH * value / 100
        lines.append(f'<line x1="{x}" x2="{x}" y1="0" y2="{height - 20}" class="grid"/>')
        lines.append(f'<text x="{x}" y="{height - 6}" class="tick">{value}</text>')
    return "".join(lines)


def _bar(row: Mapping[str, Any], top: int) -> str:
    middle, end = top + ROW / 2 - 4, LABEL + WIDTH * row["score"] / 100
    shown = shortened(str(row["name"] or "overall"), 28)
    figures = f"{row['score']:.1f}"
    parts = [
        f'<text x="{LABEL - 8}" y="{middle + 4}" class="name">{escape(shown)}</text>',
        f'<rect x="{LABEL}" y="{top}" width="{max(0.0, end - LABEL):.1f}" height="{ROW - 8}" class="bar"/>',
    ]
    if row["low"] != "":
        low, high = (LABEL + WIDTH * row[side] / 100 for side in ("low", "high"))
        parts.append(
            f'<line x1="{low:.1f}" x2="{high:.1f}" y1="{middle}" y2="{middle}" class="whisker"/>'
        )
        figures += f" [{row['low']:.1f}, {row['high']:.1f}]"
    text = f'<text x="{LABEL + WIDTH + 8}" y="{middle + 4}" class="figure">{figures}</text>'
    return "".join([*parts, text])


def _axes(size: int, edge: int) -> str:
    end, middle = edge + size, edge + size / 2
    parts = [
        f'<rect x="{edge}" y="{edge}" width="{size}" height="{size}" class="frame"/>',
        f'<line x1="{edge}" y1="{end}" x2="{end}" y2="{edge}" class="ideal"/>',
        f'<text x="{middle}" y="{end + 34}" class="tick">confidence, %</text>',
        f'<text x="12" y="{middle}" class="tick" transform="rotate(-90 12 {middle})">score</text>',
    ]
    for value in (0, 50, 100):
        at = size * value / 100
        parts.append(f'<text x="{edge + at}" y="{end + 16}" class="tick">{value}</text>')
        parts.append(f'<text x="{edge - 6}" y="{end - at + 4}" class="name">{value}</text>')
    return "".join(parts)
