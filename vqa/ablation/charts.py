"""A study as figures for plotly, in a page's own colours: names of its style's variables stand for them."""

from __future__ import annotations

import html
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from vqa.formatting import shortened
from vqa.tracking.curves import Band

Figure = dict[str, Any]
Row = Mapping[str, Any]
COLOURS = 8
"""Series that a page tells apart."""

LONGEST = 28
LEGEND = {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0}
ROW, EDGE = 30, 70
"""Pixels a row, and for the axis."""


def dots(rows: Sequence[Row], reference: str) -> Figure:
    """Every variant's mean with its interval, and each seed's score as a faint dot; the best is the topmost."""
    ordered = sorted(rows, key=lambda row: row["mean"])
    return {
        "data": [_seeds(ordered), _means(ordered, reference)],
        "layout": {
            "height": EDGE + 40 + ROW * max(2, len(ordered)),
            "xaxis": {"title": {"text": "score"}, "zeroline": False},
            "yaxis": {
                "tickmode": "array",
                "tickvals": list(range(len(ordered))),
                "ticktext": [short(row["name"]) for row in ordered],
                "range": [-0.7, len(ordered) - 0.3],
                "zeroline": False,
            },
            "legend": LEGEND,
            "margin": {"t": 30, "r": 16, "b": 44, "l": 10},
            "shapes": _line(ordered, reference),
        },
    }


def _seeds(rows: Sequence[Row]) -> Figure:
    found = [(score, at) for at, row in enumerate(rows) for score in row["scores"]]
    return {
        "type": "scatter",
        "mode": "markers",
        "x": [score for score, _ in found],
        "y": [at for _, at in found],
        "marker": {"color": "--series-2/40", "size": 9},
        "name": "one seed",
        "hovertemplate": "%{x:.2f}<extra>one seed</extra>",
    }


def _means(rows: Sequence[Row], reference: str) -> Figure:
    colours = ["--soft" if row["baseline"] else "--series-1" for row in rows]
    symbols = ["diamond" if row["name"] == reference else "circle" for row in rows]
    return {
        "type": "scatter",
        "mode": "markers",
        "x": [row["mean"] for row in rows],
        "y": list(range(len(rows))),
        "marker": {"color": colours, "size": 11, "symbol": symbols},
        "error_x": _intervals(rows),
        "name": "mean with 95 % interval",
        "text": [escaped(row["name"]) for row in rows],
        "hovertemplate": "%{text}: %{x:.2f}<extra></extra>",
    }


def _intervals(rows: Sequence[Row]) -> Figure:
    known = [row["low"] is not None for row in rows]
    return {
        "type": "data",
        "symmetric": False,
        "array": [
            row["high"] - row["mean"] if has else 0 for row, has in zip(rows, known, strict=True)
        ],
        "arrayminus": [
            row["mean"] - row["low"] if has else 0 for row, has in zip(rows, known, strict=True)
        ],
        "color": "--series-1",
        "thickness": 2,
        "width": 5,
    }


def _line(rows: Sequence[Row], reference: str) -> list[Figure]:
    """A line down from the reference's mean."""
    return [
        {
            "type": "line",
            "x0": row["mean"],
            "x1": row["mean"],
            "yref": "paper",
            "y0": 0,
            "y1": 1,
            "line": {"color": "--soft", "width": 1, "dash": "dot"},
        }
        for row in rows
        if row["name"] == reference
    ]


def heat(study: Mapping[str, Any], kind: str) -> Figure:
    """Each variant's difference to the reference by type: one colour for more, one for less, the ground for none.

    The page's ink can be read on either colour, so on every shade between.
    """
    names, rows = heat_table(study, kind)
    found = [cells for _, cells in rows]
    most = _widest(study, rows)
    return {
        "data": [
            {
                "type": "heatmap",
                "z": found,
                "x": [short(name) for name in names],
                "y": [short(name) for name, _ in rows],
                "zmin": -most,
                "zmax": most,
                "colorscale": [[0, "--less"], [0.5, "--raised"], [1, "--more"]],
                "textfont": {"color": "--ink"},
                "text": [
                    ["" if cell is None else f"{cell:+z.1f}" for cell in line] for line in found
                ],
                "texttemplate": "%{text}" if len(names) <= 2 * COLOURS else "",
                "hovertemplate": "%{y}, %{x}: %{z:+.2f}<extra></extra>",
                "xgap": 2,
                "ygap": 2,
                "showscale": False,  # it would set styles that the pages' policy refuses
            }
        ],
        "layout": {
            "height": EDGE + 70 + ROW * max(2, len(rows)),
            "xaxis": {"type": "category", "side": "bottom", "tickangle": -40},
            "yaxis": {"type": "category", "autorange": "reversed"},
            "margin": {"t": 10, "r": 10, "b": 50, "l": 10},
        },
    }


def _widest(study: Mapping[str, Any], rows: Sequence[tuple[str, list[float | None]]]) -> float:
    """The largest difference in the grid: question-only or chance would leave no shade for the others."""
    beside = {row["name"] for row in study["variants"] if row["baseline"]}
    grid = [cells for name, cells in rows if name not in beside] or [cells for _, cells in rows]
    return max((abs(cell) for cells in grid for cell in cells if cell), default=1.0)


def heat_table(
    study: Mapping[str, Any], kind: str
) -> tuple[list[str], list[tuple[str, list[float | None]]]]:
    """The types, and each variant but the reference with its difference on every one of them."""
    rows: Sequence[Row] = study["variants"]
    names = type_names(study, kind)
    scores = {row["name"]: row[kind] for row in rows}
    reference: Row = scores.get(study["reference"], {})
    found = [
        (row["name"], [_less(row[kind].get(name), reference.get(name)) for name in names])
        for row in rows
        if row["name"] != study["reference"]
    ]
    return names, found


def _less(mine: float | None, theirs: float | None) -> float | None:
    return None if mine is None or theirs is None else mine - theirs


def type_names(study: Mapping[str, Any], kind: str) -> list[str]:
    """The answer or question types of a study."""
    return sorted({name for row in study["variants"] for name in row[kind]})


def curves(bands: Mapping[str, Band], places: Mapping[str, int], metric: str) -> Figure:
    """A metric's mean over seeds by step, in a band from the least to the greatest seed.

    Args:
        places: variant → the place of its colour, which stays its own whichever others are shown.
    """
    return {
        "data": [
            trace for name, band in bands.items() for trace in _band(name, band, places[name])
        ],
        "layout": {
            "height": 420,
            "xaxis": {"title": {"text": "step"}},
            "yaxis": {"title": {"text": escaped(metric)}},
            "hovermode": "x unified",
            "legend": LEGEND,
            "margin": {"t": 30, "r": 12, "b": 44, "l": 50},
        },
    }


def _band(name: str, band: Band, place: int) -> list[Figure]:
    colour, data = f"--series-{place % COLOURS + 1}", band.to_json()
    edge = {"type": "scatter", "mode": "lines", "x": data["steps"], "line": {"width": 0}}
    quiet = {"hoverinfo": "skip", "showlegend": False, "legendgroup": name}
    line = {
        "type": "scatter",
        "mode": "lines" if len(band.steps) > 1 else "markers",
        "x": data["steps"],
        "y": data["mean"],
        "name": short(name),
        "legendgroup": name,
        "line": {"color": colour, "width": 2},
    }
    if max(band.runs, default=0) < 2:
        return [line]
    low = {**edge, **quiet, "y": data["low"]}
    high = {**edge, **quiet, "y": data["high"], "fill": "tonexty", "fillcolor": f"{colour}/20"}
    return [low, high, line]


def short(name: str) -> str:
    """A name that fits beside a chart."""
    fits = textwrap.shorten(name, LONGEST, placeholder="…") if " " in name else name
    return escaped(shortened(fits, LONGEST))


def escaped(text: str) -> str:
    """Text as itself: plotly reads some HTML in names."""
    return html.escape(text, quote=False)
