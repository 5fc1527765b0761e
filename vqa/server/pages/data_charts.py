"""Distributions of a store as figures for plotly: shares of each split beside each other."""

from __future__ import annotations

import html
from typing import Any

from vqa.formatting import shortened

Figure = dict[str, Any]
CHARTS = {
    "words": "Words a question",
    "choices": "Choices a question",
    "right_place": "Place of the right choice",
    "answer_types": "Answer types",
    "answers": "Answers",
    "question_types": "Question types",
}
NUMBERS = ("words", "choices", "right_place")
LABEL = 28
SERIES = 8


def shares(told: dict[str, Any]) -> dict[str, list[float]]:
    """For each split the percentage of its questions, of those that have a value, under each label."""
    return {
        split: [100 * count / max(1, sum(counts) + told["rest"].get(split, 0)) for count in counts]
        for split, counts in told["splits"].items()
        if sum(counts) + told["rest"].get(split, 0)
    }


def figure(name: str, told: dict[str, Any]) -> Figure:
    """Bars: upright for numbers, lying for texts, which take room."""
    labels = [_plain(label) for label in told["labels"]]
    places = list(range(len(labels)))
    upright = name in NUMBERS
    data = []
    for at, (split, values) in enumerate(shares(told).items()):
        rounded = [round(value, 3) for value in values]
        data.append(
            {
                "type": "bar",
                "name": _plain(split),
                "orientation": "v" if upright else "h",
                "x": places if upright else rounded,
                "y": rounded if upright else places,
                "customdata": labels,
                "marker": {"color": f"--series-{at % SERIES + 1}"},
                "hovertemplate": "%{customdata}: %{" + ("y" if upright else "x") + ":.2f} %",
            }
        )
    return {"data": data, "layout": _layout(name, labels, places, upright=upright)}


def _layout(name: str, labels: list[str], places: list[int], *, upright: bool) -> Figure:
    share = {"title": {"text": "% of the split's questions"}, "rangemode": "tozero"}
    named: Figure = {"tickvals": places, "ticktext": labels, "zeroline": False}
    if upright:
        named["title"] = {"text": CHARTS[name].lower()}
    else:
        named |= {"autorange": "reversed", "ticklabelstandoff": 6}
    return {
        "barmode": "group",
        "bargap": 0.25,
        "xaxis": named if upright else share,
        "yaxis": share if upright else named,
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        "margin": {"t": 36, "r": 12, "b": 44, "l": 50},
    }


def _plain(text: str) -> str:
    """Short, on one line, and in no markup of plotly's."""
    return html.escape(shortened(" ".join(text.split()), LABEL), quote=False)
