"""A study as one self-contained HTML page: no script, no request, every text escaped, light and dark."""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vqa.ablation.study import TYPE_KINDS, Row, Study
from vqa.ablation.tables import heading, left_out, remarks, tables

TEMPLATES = Path(__file__).parent / "templates"
LABEL, WIDTH, LINE, EDGE = 210, 520, 26, 30
"""Of the dots' picture, in pixels: names, scale, height of a row, room for the scale's figures."""

STEPS, MOST_TICKS = (1, 2, 5, 10, 20), 7
"""Of the dots' scale, in points."""

SHADES = 5
"""Steps of the heat map on either side of nothing."""


def to_html(study: Study) -> str:
    """The page; its policy allows nothing but its own style sheet, by hash."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = (TEMPLATES / "study.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    return environment.get_template("study.html.j2").render(
        study=study,
        style=style,
        policy=policy,
        heading=heading(study),
        tables=tables(study, most_types=100),
        dots=dots(study.rows),
        heat_maps=[found for kind in TYPE_KINDS if (found := heat_map(study, kind))],
        left_out=left_out(study),
        remarks=remarks(study),
    )


def dots(rows: Sequence[Row]) -> dict[str, Any]:
    """Places of every variant's mean, interval and single runs, in pixels, on a scale that fits them."""
    shown = ticks([row.low for row in rows], [row.high for row in rows])
    low, high = shown[0], shown[-1]

    def place(value: float) -> float:
        return round(LABEL + WIDTH * (value - low) / (high - low), 1)

    marks = [
        {
            "name": row.name if len(row.name) <= 28 else f"{row.name[:27]}…",
            "y": LINE * at + LINE / 2,
            "low": place(row.low),
            "high": place(row.high),
            "mean": place(row.mean),
            "hint": f"{row.name}: {row.mean:.2f} [{row.low:.2f}, {row.high:.2f}]",
            "baseline": row.baseline is not None,
        }
        for at, row in enumerate(rows)
    ]
    return {
        "rows": marks,
        "width": LABEL + WIDTH + EDGE,
        "label": LABEL - 10,
        "bottom": LINE * len(rows),
        "height": LINE * len(rows) + EDGE,
        "ticks": [{"x": place(value), "text": str(value)} for value in shown],
    }


def ticks(lows: Sequence[float], highs: Sequence[float]) -> list[int]:
    """Round figures from 0 to 100 around all of these, evenly apart, at most seven."""
    for step in STEPS:
        first, last = math.floor(min(lows) / step), math.ceil(max(highs) / step)
        last = max(last, first + 1)
        if last - first < MOST_TICKS:
            break
    return [step * at for at in range(first, last + 1)]


def heat_map(study: Study, kind: str) -> dict[str, Any] | None:
    """Each variant's difference to the reference by type, with a shade from −5 to 5; None for a single type."""
    names = study.type_names(kind)
    if len(names) < 2:
        return None
    others = [row for row in study.rows if row.name != study.reference]
    found = [[study.difference(row, kind, name) for name in names] for row in others]
    largest = (
        max((abs(value) for line in found for value in line if value is not None), default=0.0)
        or 1.0
    )
    return {
        "title": f"Difference to {study.reference} {kind.replace('_', ' ')}",
        "names": names,
        "rows": [
            {"name": row.name, "cells": [_cell(value, largest) for value in line]}
            for row, line in zip(others, found, strict=True)
        ],
    }


def _cell(value: float | None, largest: float) -> dict[str, str]:
    if value is None:
        return {"text": "–", "shade": "s0"}
    step = round(SHADES * value / largest)
    return {"text": f"{value:+.1f}", "shade": f"{'n' if step < 0 else 's'}{abs(step)}"}
