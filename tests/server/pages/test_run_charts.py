"""Which charts a run has, and what is drawn of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vqa.server.pages import run_charts
from vqa.server.pages.run_charts import bars, charts_of, find_chart, label
from vqa.tracking.curves import Curves, read_curves


def journal(folder: Path, records: list[dict[str, Any]]) -> Curves:
    file = folder / "metrics.jsonl"
    file.write_text("".join(json.dumps(record) + "\n" for record in records))
    return read_curves(file, points=100)


def drawn(key: str, curves: Curves, name: str = "") -> dict[str, Any]:
    chart = find_chart(key, name, curves)
    assert chart is not None
    return chart.draw(chart, curves)


def test_every_name_has_its_place() -> None:
    names = ["train/loss", "val/accuracy", "val/loss", "train/lr", "mine", "forget_gate/layer_0"]
    names += ["gradient_by_step/00", "gradient_by_step/x", "train/questions_per_second"]
    found = [(chart.key, chart.names) for chart in charts_of(names)]
    assert found == [
        ("loss", ("train/loss", "val/loss")),
        ("validation", ("val/accuracy",)),
        ("rate", ("train/lr",)),
        ("speed", ("train/questions_per_second",)),
        ("gates", ("forget_gate/layer_0",)),
        ("reach", ("gradient_by_step/00",)),
        ("profile", ("gradient_by_step/00",)),
        ("other", ("mine",)),
        ("other", ("gradient_by_step/x",)),
    ]


def test_lines_have_a_band_where_points_stand_for_several(tmp_path: Path) -> None:
    few = drawn("loss", journal(tmp_path, [{"step": k, "train/loss": k} for k in range(5)]))
    (line,) = few["data"]
    assert (line["x"], line["y"]) == ([0, 1, 2, 3, 4], [0, 1, 2, 3, 4])
    records = [{"step": k, "train/loss": 100.0 if k == 777 else 1.0} for k in range(5000)]
    low, high, line = drawn("loss", journal(tmp_path, records))["data"]
    assert len(line["x"]) <= 100
    assert max(high["y"]) == 100.0  # a spike of one step is seen
    assert set(low["y"]) == {1.0}
    assert find_chart("rate", "", journal(tmp_path, records)) is None
    assert find_chart("other", "gone", journal(tmp_path, records)) is None


def test_reach_by_distance_and_time(tmp_path: Path) -> None:
    """Norms 10^-distance; the third word before the end is there in the last third alone."""
    records = []
    for step in range(1, 31):
        words = 3 if step > 20 else 2
        norms = {f"gradient_by_step/{k:02d}": 10.0**-k for k in range(words)}
        records.append({"step": step, **norms})
    curves = journal(tmp_path, records)
    heat = drawn("reach", curves)
    assert [row["meta"] for row in heat["data"]] == [0, 1, 2]
    assert heat["data"][2]["y"] == [0.0] * 20 + [1.0] * 10
    assert heat["data"][1]["customdata"] == [pytest.approx(0.1)] * 30
    brightness = [
        sum(map(int, row["marker"]["color"][-1][4:-1].split(","))) for row in heat["data"]
    ]
    assert brightness == sorted(brightness, reverse=True)
    first, _, last = drawn("profile", curves)["data"]
    assert first["y"] == [1.0, pytest.approx(0.1), None]
    assert last["y"] == [1.0, pytest.approx(0.1), pytest.approx(0.01)]


def test_one_record_alone(tmp_path: Path) -> None:
    curves = journal(tmp_path, [{"step": 7, "gradient_by_step/00": 0.0}])
    assert drawn("reach", curves)["data"][0]["y"] == [0.0]  # no gradient: nothing to show
    assert drawn("profile", curves)["data"][0]["y"] == [0.0]


def test_tables_have_the_ends(tmp_path: Path) -> None:
    curves = journal(tmp_path, [{"step": k, "train/loss": k} for k in range(90)])
    chart = find_chart("loss", "", curves)
    assert chart is not None
    rows = run_charts.table(chart, curves)
    assert len(rows) == run_charts.TABLE_ROWS
    assert (rows[0][1], rows[-1][1]) == (0, 89)
    assert np.diff([row[1] for row in rows]).min() > 0


def test_bars_and_their_intervals() -> None:
    rows = [{"name": "<b>a</b>", "score": 50.0, "n": 3, "low": 40.0, "high": 55.0}]
    rows += [{"name": "b", "score": 0.0, "n": 1, "low": None, "high": None}]
    figure = bars(rows, 25.0)
    (bar,) = figure["data"]
    assert bar["error_x"]["array"] == [5.0, 0.0]
    assert bar["error_x"]["arrayminus"] == [10.0, 0.0]
    assert figure["layout"]["yaxis"]["ticktext"] == ["&lt;b&gt;a&lt;/b&gt; (3)", "b (1)"]
    assert figure["layout"]["shapes"][0]["x0"] == 25.0
    assert len(label("x" * 1000)) == run_charts.LONGEST_LABEL
