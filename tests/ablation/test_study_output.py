"""A study as page, tables, CSV, JSON and text: whole, escaped, and of no harm to who opens it."""

from __future__ import annotations

import csv
import html.parser
import io
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ablation.runs import QUICK, fail_run, make_run
from vqa.ablation.csv_table import to_csv
from vqa.ablation.drawing import PANEL_EDGE, PANEL_HEIGHT, PANEL_WIDTH, panels, ticks
from vqa.ablation.gather import gather
from vqa.ablation.page import to_html
from vqa.ablation.study import Study, make_study
from vqa.ablation.tables import latex, tables, to_latex, to_markdown, to_text
from vqa.tracking.curves import Band

HOSTILE = "<script>alert(1)</script>&\\x_y|%=\x1b[31m"


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """Types, names, and errors that somebody chose with care."""
    folder = tmp_path_factory.mktemp("hostile")
    for name, rate in (("=1+1", 0.4), ("b|_%", 0.6)):
        make_run(folder / name, {"seed": 0}, rate, types=(HOSTILE, "+other"))
    fail_run(folder / "failed", {"seed": 0}, HOSTILE)
    names = {name: [folder / name] for name in ("=1+1", "b|_%", "failed")}
    found = gather([], names, None)
    return make_study(HOSTILE, found.members, found.places, QUICK)


class _Checker(html.parser.HTMLParser):
    """Collects tags, and refuses what the page may not hold."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag not in ("meta", "line", "circle", "rect", "polygon", "polyline"):
            self.open.append(tag)
        for name, value in attrs:
            assert not name.startswith("on")
            assert name not in ("src", "href", "style")
            assert "url(" not in (value or "")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("which", ["study", "hostile"])
def test_the_page_is_whole_escaped_and_alone(which: str, request: pytest.FixtureRequest) -> None:
    page = to_html(request.getfixturevalue(which))
    checker = _Checker()
    checker.feed(page)
    assert not checker.open
    assert "script" not in checker.tags
    assert {"svg", "table", "style"} <= checker.tags
    assert "<script" not in page
    assert "http://" not in page.replace("http://www.w3.org/2000/svg", "")
    assert "prefers-color-scheme: dark" in page
    assert "default-src 'none'" in page.replace("&#39;", "'")


def test_learning_curves_share_one_scale(study: Study, tmp_path: Path) -> None:
    """Two seeds of one variant, one of another, none of the others."""
    steps = np.array([10.0, 20.0])
    both = Band(
        steps, np.array([31.0, 52.0]), np.array([30.0, 44.0]), np.array([32.0, 60.0]), steps * 0 + 2
    )
    alone = replace(both, low=both.mean, high=both.mean, runs=steps * 0 + 1)
    found = panels({"concat-none": both, HOSTILE: alone}, "concat-none")
    assert found is not None
    assert (found.low, found.high, found.steps) == (30, 60, 20)
    first, second = found.each
    left, right = PANEL_EDGE + PANEL_WIDTH / 2, PANEL_EDGE + PANEL_WIDTH
    bottom, height = PANEL_EDGE + PANEL_HEIGHT, PANEL_HEIGHT
    assert _points(first.mean) == [
        (left, pytest.approx(bottom - height / 30, abs=0.1)),
        (right, first.y),
    ]
    assert first.y == pytest.approx(bottom - height * 22 / 30, abs=0.1)
    assert [x for x, _ in _points(first.band)] == [left, right, right, left]
    assert {y for _, y in _points(first.band)} >= {bottom, PANEL_EDGE}
    assert (first.beside, second.band) == ("", "")
    assert second.beside == first.mean == second.mean
    lines = [
        f'{{"step": {step}, "val/accuracy": {score}}}\n' for step, score in ((10, 30), (20, 60))
    ]
    journal = tmp_path / "metrics.jsonl"
    journal.write_text("".join(lines))
    page = to_html(replace(study, journals={"concat-none": [journal], HOSTILE: [journal]}))
    _Checker().feed(page)
    assert page.count("<figure>") == 2
    assert "<script" not in page
    assert "from 30 to 60, over 20 steps" in page
    assert "<figure>" not in to_html(study)  # its runs were not validated


def _points(path: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in (point.split(",") for point in path.split())]


def test_the_heat_map_shows_differences_to_the_reference(study: Study) -> None:
    page = to_html(study)
    assert "Difference to concat-none per question type" in page
    shown = study.difference(study.rows[-1], "per_question_type", "colour")
    assert f">{shown:+.1f}<" in page


def test_many_types_stand_below_each_other(study: Study) -> None:
    few = replace(study, rows=study.rows[:1])
    assert len(few.type_names("per_question_type")) > 1
    wide, tall = (tables(few, most_types=most)[-1] for most in (10, 1))
    assert wide.title == tall.title == "per question type"
    turned = [*zip(*[wide.head, *wide.rows], strict=True)]
    assert turned == [tall.head, *tall.rows]
    parts = [part for part in tables(study, most_types=1) if part.title == "per question type"]
    assert [part.head[1:] for part in parts] == [(row.name,) for row in study.rows]


def test_latex_says_what_is_there(study: Study, hostile: Study) -> None:
    text = to_latex(study)
    assert r"\begin{tabular}{lrrrrrrr}" in text
    assert r"multiply-soft & " in text
    assert r"$\pm$" in text
    assert latex("a_b & 50 % #1 {x} ~^\\ <$>") == (
        r"a\_b \& 50 \% \#1 \{x\} \textasciitilde{}\textasciicircum{}\textbackslash{} \textless{}\$\textgreater{}"
    )
    assert r"b|\_\%" in to_latex(hostile)
    assert "\x1b" not in to_latex(hostile)
    body = [line for line in to_latex(hostile).splitlines() if not line.startswith("%")]
    assert not re.search(r"(?<!\\)[_%#]", "\n".join(body))


def test_markdown_keeps_its_columns(study: Study, hostile: Study) -> None:
    for one in (study, hostile):
        tables = [line for line in to_markdown(one).splitlines() if line.startswith("| ")]
        widths = [len(re.findall(r"(?<!\\)\|", line)) for line in tables]
        assert set(widths) == {9, len(one.type_names("per_question_type")) + 2}
    assert "<script" not in to_markdown(hostile)


def test_csv_is_no_formula(study: Study, hostile: Study) -> None:
    rows = list(csv.DictReader(io.StringIO(to_csv(study))))
    kinds = {row["kind"] for row in rows}
    assert kinds == {
        "overall",
        "run",
        "per_question_type",
        "parameters",
        "questions_per_second",
        "seconds_to_best",
        "peak_memory_mb",
        "comparison",
        "main_effect",
        "interaction",
    }
    overall = next(
        row for row in rows if row["variant"] == "multiply-soft" and row["kind"] == "overall"
    )
    assert float(overall["low"]) < float(overall["score"]) < float(overall["high"])
    compared = next(
        row for row in rows if row["kind"] == "comparison" and row["variant"] == "chance"
    )
    assert float(compared["score"]) < 0  # numbers stay numbers
    for row in csv.DictReader(io.StringIO(to_csv(hostile))):
        assert not row["variant"].startswith(("=", "+", "-", "@"))
        assert not row["name"].startswith(("=", "+", "-", "@"))


def test_the_terminal_is_not_steered(hostile: Study) -> None:
    text = to_text(hostile)
    assert "\x1b" not in text
    assert "left out, 1 runs" in text


def test_json_has_its_documented_shape(study: Study) -> None:
    shown = json.loads(json.dumps(study.to_json()))
    assert set(shown) >= {
        "title",
        "data_fingerprint",
        "split",
        "protocol",
        "n",
        "images",
        "reference",
        "axes",
        "variants",
        "comparisons",
        "main_effects",
        "interactions",
        "left_out",
        "correction",
        "notes",
    }
    assert (shown["n"], shown["images"], shown["protocol"]) == (600, 200, "multiple-choice/1")
    assert {
        "a",
        "b",
        "difference",
        "low",
        "high",
        "p_value",
        "adjusted_p_value",
        "sentence",
    } <= set(shown["comparisons"][0])
    assert {"axes", "values", "against", "settings", "seeds", "difference", "sentence"} <= set(
        shown["interactions"][0]
    )
    assert len(shown["variants"][0]["runs"]) == 3


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 100)), min_size=1))
def test_the_scale_holds_everything(intervals: list[tuple[float, float]]) -> None:
    lows, highs = [min(one) for one in intervals], [max(one) for one in intervals]
    shown = ticks(lows, highs)
    assert shown[0] <= min(lows)
    assert max(highs) <= shown[-1]
    assert 2 <= len(shown) <= 7
    assert shown[0] >= 0
