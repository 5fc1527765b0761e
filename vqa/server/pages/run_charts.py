"""The charts of a run: which names of its journal belong together, and what plotly draws of them."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vqa.evaluation.attention_map import RAMP
from vqa.formatting import shortened
from vqa.tracking.curves import Curve, Curves

Figure = dict[str, Any]
Floats = NDArray[np.float64]
SERIES = 8
LONGEST_LABEL = 60
COLUMNS = 100
"""Times in a heat map."""
TABLE_ROWS = 25
"""Rows of a chart's table for each of its names."""
STAGES = ("first third", "second third", "last third")


@dataclass(frozen=True)
class Chart:
    """One chart.

    Attributes:
        key: in its address.
        title, y, note: for people: what it shows, in which unit, how to read it.
        pattern: of the journal's names that it shows.
        flow: belongs to the gradient flow.
        draw: makes the figure.
        names: those that the journal has; for a name that no other chart shows, that one alone.
    """

    key: str
    title: str
    y: str
    pattern: str
    draw: Callable[[Chart, Curves], Figure]
    note: str = ""
    flow: bool = False
    names: tuple[str, ...] = ()

    def of(self, names: Iterable[str]) -> Chart:
        """The same with those of `names` that it shows."""
        mine = tuple(name for name in names if re.fullmatch(self.pattern, name))
        return replace(self, names=mine)


def charts_of(names: Sequence[str]) -> list[Chart]:
    """The charts that a journal with these names has, each name in one of them at least."""
    known = [chart for kind in CHARTS if (chart := kind.of(names)).names]
    shown = {name for chart in known for name in chart.names}
    return known + [other_chart(name) for name in names if name not in shown]


def other_chart(name: str) -> Chart:
    """A chart of one name that has no place elsewhere."""
    return Chart("other", name, "", "", lines, names=(name,))


def find_chart(key: str, name: str, curves: Curves) -> Chart | None:
    """The chart of an address; None where the journal has nothing for it."""
    if key == "other":
        return other_chart(name) if name in curves.by_name else None
    found = [kind.of(curves.by_name) for kind in CHARTS if kind.key == key]
    return found[0] if found and found[0].names else None


def lines(chart: Chart, curves: Curves) -> Figure:
    """A line a name; where a point stands for several records, a band from the least to the greatest."""
    data: list[Figure] = []
    for place, name in enumerate(chart.names):
        data += _line(curves.by_name[name], name, f"--series-{place % SERIES + 1}")
    layout = _layout("step", chart.y)
    layout |= {"showlegend": len(chart.names) > 1, "legend": {"orientation": "h", "y": 1.12}}
    return {"data": data, "layout": layout}


def reach(chart: Chart, curves: Curves) -> Figure:
    """How strongly the loss depends on each word, counted from a question's end, over the course of training.

    Of bars, since plotly's own heat maps set styles that the pages' policy refuses.
    """
    steps, norms = reach_grid(chart, curves)
    chosen = np.unique(np.linspace(0, len(steps) - 1, COLUMNS).round().astype(int))
    steps, norms = steps[chosen], norms[:, chosen]
    with np.errstate(divide="ignore", invalid="ignore"):
        heights = np.where(norms > 0, np.log10(norms), np.nan)
    colours = _colours(heights)
    row = {"type": "bar", "x": steps.tolist(), "width": _widths(steps), "showlegend": False}
    row["hovertemplate"] = "step %{x}<br>%{meta} words before the end<br>norm %{customdata:.3g}"
    row["hovertemplate"] += "<extra></extra>"
    data = [
        row
        | {
            "meta": distance,
            "base": distance - 0.5,
            "y": np.isfinite(heights[distance]).astype(float).tolist(),
            "marker": {"color": colours[distance], "line": {"width": 0}},
            "customdata": _plain(norms[distance]),
        }
        for distance in range(len(norms))
    ]
    layout = _layout("step", "words before the end")
    layout["yaxis"] |= {"dtick": max(1, len(norms) // 10), "range": [-0.5, len(norms) - 0.5]}
    return {"data": data, "layout": layout | {"barmode": "overlay", "bargap": 0}}


def profile(chart: Chart, curves: Curves) -> Figure:
    """The same in the mean over each third of training."""
    data = [
        {
            "type": "scatter",
            "mode": "lines+markers",
            "name": stage,
            "x": list(range(len(norms))),
            "y": _plain(norms),
            "line": {"color": f"--series-{place}"},
        }
        for place, (stage, norms) in enumerate(reach_stages(chart, curves), start=1)
    ]
    layout = _layout("words before the question's end", "gradient norm")
    layout["yaxis"] |= {"type": "log", "exponentformat": "e", "dtick": "D2"}
    layout["legend"] = {"orientation": "h", "y": 1.12}
    return {"data": data, "layout": layout}


def reach_grid(chart: Chart, curves: Curves) -> tuple[Floats, Floats]:
    """Steps [times], and the norms of every distance at each of them [distances, times], NaN where there is none."""
    found = [curves.by_name[name] for name in sorted(chart.names, key=_distance)]
    steps = max((curve.steps for curve in found), key=len)
    return steps, np.stack([_nearest(curve, steps) for curve in found])


def reach_stages(chart: Chart, curves: Curves) -> list[tuple[str, Floats]]:
    """The mean norm of every distance in each third of training."""
    steps, norms = reach_grid(chart, curves)
    third = np.minimum(2, 3 * np.arange(len(steps)) // max(1, len(steps)))
    parts = [(stage, norms[:, third == k]) for k, stage in enumerate(STAGES)]
    return [(stage, _mean(part)) for stage, part in parts if part.size]


def table(chart: Chart, curves: Curves) -> list[tuple[str, int, float, float, float]]:
    """Rows of a chart's figures: name, step, mean, least and greatest; some of many, the ends among them."""
    rows = []
    for name in chart.names:
        curve = curves.by_name[name]
        places = np.unique(np.linspace(0, len(curve.steps) - 1, TABLE_ROWS).round().astype(int))
        values = zip(curve.steps, curve.means, curve.lows, curve.highs, strict=True)
        kept = set(places.tolist())
        rows += [(name, int(s), m, a, b) for k, (s, m, a, b) in enumerate(values) if k in kept]
    return rows


def bars(rows: Sequence[dict[str, Any]], chance: float | None) -> Figure:
    """Scores by type with their intervals, the first row on top."""
    places = list(range(len(rows)))
    bar = {
        "type": "bar",
        "orientation": "h",
        "x": [row["score"] for row in rows],
        "y": places,
        "customdata": [row["n"] for row in rows],
        "hovertemplate": "%{x:.2f} of 100, %{customdata} questions<extra></extra>",
        "marker": {"color": "--series-1"},
        "error_x": {
            "type": "data",
            "symmetric": False,
            "array": [_above(row["high"], row["score"]) for row in rows],
            "arrayminus": [_above(row["score"], row["low"]) for row in rows],
            "color": "--ink",
            "thickness": 1.5,
        },
    }
    layout = _layout("score, 0 to 100", "")
    layout["xaxis"] |= {"range": [0, 100]}
    labels = [label(f"{row['name']} ({row['n']})") for row in rows]
    layout["yaxis"] = {"tickvals": places, "ticktext": labels, "autorange": "reversed"}
    if chance is not None:
        layout["shapes"] = [_mark(chance)]
        layout["annotations"] = [_mark_name(chance)]
    return {"data": [bar], "layout": layout}


def label(text: str) -> str:
    """Data's text for plotly, which would take some of HTML for its own."""
    return html.escape(shortened(text, LONGEST_LABEL), quote=False)


def _line(curve: Curve, name: str, colour: str) -> list[Figure]:
    steps = curve.steps.tolist()
    line = {
        "type": "scatter",
        "mode": "lines+markers" if len(steps) < 40 else "lines",
        "name": label(name),
        "x": steps,
        "y": _plain(curve.means),
        "line": {"color": colour, "width": 2},
        "marker": {"size": 5},
    }
    if np.array_equal(curve.lows, curve.highs, equal_nan=True):
        return [line]
    edge = {"type": "scatter", "mode": "lines", "x": steps, "hoverinfo": "skip"}
    edge |= {"line": {"width": 0}, "showlegend": False}
    low = edge | {"y": _plain(curve.lows)}
    high = edge | {"y": _plain(curve.highs), "fill": "tonexty", "fillcolor": f"{colour}/20"}
    return [low, high, line]


def _layout(x: str, y: str) -> Figure:
    return {
        "xaxis": {"title": {"text": x}},
        "yaxis": {"title": {"text": y}},
        "margin": {"t": 20, "r": 12, "b": 44, "l": 56},
    }


def _colours(values: Floats) -> list[list[str]]:
    """Dark for the least and bright for the greatest, whatever is no number as the least."""
    held = values[np.isfinite(values)]
    least, most = (held.min(), held.max()) if held.size else (0.0, 0.0)
    shares = np.nan_to_num((values - least) / max(most - least, 1e-9))
    stops = np.linspace(0, 1, len(RAMP))
    bands = np.stack([np.interp(shares, stops, RAMP[:, k]) for k in range(3)], axis=-1)
    return [[f"rgb({r:.0f},{g:.0f},{b:.0f})" for r, g, b in row] for row in bands.tolist()]


def _widths(steps: Floats) -> list[float]:
    """Of bars that touch each other, though their steps are not evenly apart."""
    if len(steps) < 2:
        return [1.0] * len(steps)
    found: list[float] = np.gradient(steps).tolist()
    return found


def _nearest(curve: Curve, steps: Floats) -> Floats:
    """A curve's values at other steps: of its nearest point, NaN outside of it."""
    middles = (curve.steps[1:] + curve.steps[:-1]) / 2
    values = curve.means[np.searchsorted(middles, steps)]
    inside = (steps >= curve.steps[0]) & (steps <= curve.steps[-1])
    found: Floats = np.where(inside, values, np.nan)
    return found


def _mean(norms: Floats) -> Floats:
    """Over times, without gaps; NaN where there is nothing else."""
    held = np.isfinite(norms)
    counts = held.sum(axis=1)
    sums = np.where(held, norms, 0.0).sum(axis=1)
    found: Floats = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
    return found


def _distance(name: str) -> int:
    return int(name.rpartition("/")[2])


def _plain(values: Floats) -> list[float | None]:
    return [value if np.isfinite(value) else None for value in values.tolist()]


def _above(high: float | None, low: float | None) -> float:
    return 0.0 if high is None or low is None else max(0.0, high - low)


def _mark(x: float) -> Figure:
    line = {"color": "--soft", "width": 1.5, "dash": "dot"}
    return {"type": "line", "x0": x, "x1": x, "yref": "paper", "y0": 0, "y1": 1, "line": line}


def _mark_name(x: float) -> Figure:
    font = {"color": "--soft"}
    place = {"x": x, "y": 1, "yref": "paper", "xanchor": "left", "yanchor": "bottom"}
    return {"text": "chance", "showarrow": False, "font": font, **place}


CHARTS = (
    Chart("loss", "Loss", "loss", r"(?:.*/)?loss", lines),
    Chart("validation", "Validation accuracy", "accuracy, 0 to 100", r"val/(?!loss$).*", lines),
    Chart("rate", "Learning rate", "learning rate", r"train/lr.*", lines),
    Chart("speed", "Speed", "questions a second", r"train/questions_per_second", lines),
    Chart(
        "norm",
        "Gradient norm",
        "norm",
        r"train/gradient_norm",
        lines,
        "Of all gradients together, before clipping.",
        flow=True,
    ),
    Chart(
        "clipped",
        "Clipped share",
        "share of steps, 0 to 1",
        r"train/clipped_share",
        lines,
        "How often the norm was over the limit and was cut.",
        flow=True,
    ),
    Chart(
        "gates",
        "Forget gates",
        "mean gate, 0 to 1",
        r"forget_gate/.*",
        lines,
        "1 keeps all that was read before, 0 forgets it.",
        flow=True,
    ),
    Chart(
        "reach",
        "How far back learning reaches",
        "",
        r"gradient_by_step/\d{1,6}",
        reach,
        "Norm of the loss's gradient at each word, over the course of training; bright is strong (logarithmic).",
        flow=True,
    ),
    Chart(
        "profile",
        "Gradient norm by time step",
        "",
        r"gradient_by_step/\d{1,6}",
        profile,
        "The same in the mean over each third of training.",
        flow=True,
    ),
)
"""In the order of the page; a name may be in several."""
