"""NLVR: a sentence with six pictures, true or false."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.data.sources.tiny import good, nlvr, nlvr_line, rows_of
from vqa.data.record import BadRow
from vqa.errors import DataError


def write(folder: Path, *lines: Any) -> list[str]:
    (folder / "dev").mkdir(parents=True)
    (folder / "dev" / "dev.json").write_text("\n".join(map(json.dumps, lines)))
    return ["nlvr", str(folder)]


def test_a_sentence_has_its_six_pictures(tmp_path: Path) -> None:
    rows = good(nlvr(tmp_path))
    first = rows[0]
    assert first.example.question_id == first.example.image_id == "train-0-0-0"
    assert first.image.path == tmp_path / "train" / "images" / "0" / "train-0-0-0.png"
    assert (first.example.answers, first.example.answer_type) == (["true"], "yes/no")
    assert [row.example.question_type for row in (rows[0], rows[6])] == ["scatter", "tower"]
    assert [row.example.question_id[-1] for row in rows[:6]] == list("012345")
    assert len(good(nlvr(tmp_path / "again"), "--orders", "1")) == 6


def test_labels_may_be_withheld(tmp_path: Path) -> None:
    line = {key: value for key, value in nlvr_line(0).items() if key != "label"}
    assert {tuple(row.example.answers) for row in good(write(tmp_path, line))} == {()}


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"identifier": "../1-0"}, "'identifier'"),
        ({"identifier": None}, "'identifier'"),
        ({"directory": ".."}, "'directory'"),
        ({"label": "maybe"}, "'label'"),
        ({"sentence": 3}, "'sentence'"),
    ],
)
def test_a_bad_line_is_reported_once(fields: dict[str, Any], reason: str, tmp_path: Path) -> None:
    rows = rows_of(write(tmp_path, nlvr_line(0, **fields), nlvr_line(1)))
    assert isinstance(rows[0], BadRow)
    assert rows[0].where == f"{tmp_path / 'dev' / 'dev.json'}, line 1"
    assert reason in rows[0].reason
    assert len(rows) == 7


def test_nlvr2_is_named(tmp_path: Path) -> None:
    line = {"identifier": "dev-850-0-0", "sentence": "Two dogs.", "label": "True", "left_url": "x"}
    with pytest.raises(DataError, match="this is NLVR2"):
        rows_of(write(tmp_path, line))
