"""Pictures of a study for a page without scripts: what stands where, in pixels."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vqa.ablation.study import Row, Study
from vqa.formatting import shortened
from vqa.tracking.buckets import Floats
from vqa.tracking.curve_names import VALIDATED
from vqa.tracking.curves import Band, read_curves, seed_band

LABEL, WIDTH, LINE, EDGE = 210, 520, 26, 30
"""Of the dots' picture, in pixels: names, scale, height of a row, room for the scale's figures."""

STEPS, MOST_TICKS = (1, 2, 5, 10, 20), 7
"""Of the dots' scale, in points."""

SHADES = 5
"""Steps of the heat map on either side of nothing."""

PANEL_WIDTH, PANEL_HEIGHT, PANEL_EDGE = 220, 110, 6
"""Of one learning curve, and of the room that its strokes and dots need around it."""


def dots(rows: Sequence[Row]) -> dict[str, Any]:
    """Places of every variant's mean, interval and single runs, in pixels, on a scale that fits them."""
    shown = ticks([row.low for row in rows], [row.high for row in rows])
    low, high = shown[0], shown[-1]

    def place(value: float) -> float:
        return round(LABEL + WIDTH * (value - low) / (high - low), 1)

    marks = [
        {
            "name": shortened(row.name, 28),
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
    return {"text": f"{value:+z.1f}", "shade": f"{'n' if step < 0 else 's'}{abs(step)}"}


@dataclass(frozen=True)
class Panel:
    """One variant's learning curve; paths are `points` of SVG.

    Attributes:
        mean: over its seeds.
        band: around the least and the greatest seed; empty for a single one.
        beside: the reference's mean; empty in its own panel.
        x, y: of the last mean, `last`.
    """

    name: str
    mean: str
    band: str
    beside: str
    x: float
    y: float
    last: float


@dataclass(frozen=True)
class Panels:
    """Learning curves side by side, all of one scale.

    Attributes:
        low, high: of the scores; round figures.
        steps: the last one of all.
        width, height: of one, with its edges.
    """

    each: list[Panel]
    low: int
    high: int
    steps: int
    width: int = PANEL_WIDTH + 2 * PANEL_EDGE
    height: int = PANEL_HEIGHT + 2 * PANEL_EDGE


def learning(journals: Mapping[str, Sequence[Path]]) -> dict[str, Band]:
    """The accuracy on the validation split by step, over the seeds of each variant that was validated."""
    found = {}
    for name, files in journals.items():
        runs = [read_curves(file, names={VALIDATED}) for file in files]
        band = seed_band(runs, VALIDATED)
        if band is not None:
            found[name] = band
    return found


def panels(curves: Mapping[str, Band], reference: str) -> Panels | None:
    """A panel a variant; None where no run was validated."""
    if not curves:
        return None
    shown = ticks(
        [float(one.low.min()) for one in curves.values()],
        [float(one.high.max()) for one in curves.values()],
    )
    last = max(float(one.steps[-1]) for one in curves.values())
    scale = _Scale(last, shown[0], shown[-1])
    beside = (
        scale.path(curves[reference].steps, curves[reference].mean) if reference in curves else ""
    )
    each = [
        _panel(name, band, "" if name == reference else beside, scale)
        for name, band in curves.items()
    ]
    return Panels(each, shown[0], shown[-1], round(last))


@dataclass(frozen=True)
class _Scale:
    """From steps and scores to pixels of a panel."""

    last: float
    low: float
    high: float

    def place(self, step: float, score: float) -> tuple[float, float]:
        """Where a score stands."""
        x = PANEL_EDGE + PANEL_WIDTH * step / max(self.last, 1.0)
        y = PANEL_EDGE + PANEL_HEIGHT * (self.high - score) / (self.high - self.low)
        return round(x, 1), round(y, 1)

    def path(self, steps: Iterable[float], scores: Iterable[float]) -> str:
        """Points one after another."""
        places = (self.place(step, score) for step, score in zip(steps, scores, strict=True))
        return " ".join(f"{x},{y}" for x, y in places)


def _panel(name: str, band: Band, beside: str, scale: _Scale) -> Panel:
    several = float(band.runs.max()) > 1
    last = float(band.mean[-1])
    return Panel(
        name=name,
        mean=scale.path(band.steps, band.mean),
        band=scale.path(*_around(band)) if several else "",
        beside=beside,
        x=scale.place(float(band.steps[-1]), last)[0],
        y=scale.place(float(band.steps[-1]), last)[1],
        last=last,
    )


def _around(band: Band) -> tuple[Floats, Floats]:
    """Along the least, and back along the greatest."""
    return np.concatenate((band.steps, band.steps[::-1])), np.concatenate(
        (band.low, band.high[::-1])
    )
