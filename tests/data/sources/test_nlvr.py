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


@pytest.mark.parametrize("line", ["{", "[" * 100_000, "1" * 5000])
def test_a_line_that_is_no_json_is_reported(tmp_path: Path, line: str) -> None:
    words = write(tmp_path, nlvr_line(0))
    with (tmp_path / "dev" / "dev.json").open("a") as file:
        file.write(f"\n{line}\n")
    bad = rows_of(words)[-1]
    assert isinstance(bad, BadRow)
    assert bad.where.endswith("dev.json, line 2")
    assert bad.reason.startswith("not JSON")


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


NLVR2 = {"identifier": "dev-850-0-0", "sentence": "Two dogs.", "label": "True"}
URLS = {"left_url": "x", "right_url": "y"}


@pytest.mark.parametrize("more", [{}, URLS, {**URLS, "directory": 92}])
def test_nlvr2_is_named(more: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"dev\.json: this is NLVR2"):
        rows_of(write(tmp_path, NLVR2 | more))


@pytest.mark.parametrize("name", ["train.json", "dev.json", "test1.json"])
def test_the_folder_of_nlvr2_is_named(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(json.dumps(NLVR2 | URLS) + "\n")
    with pytest.raises(DataError, match=r"this is NLVR2.*the folder `nlvr`") as caught:
        rows_of(["nlvr", str(tmp_path)])
    assert str(caught.value).startswith(f"{tmp_path}: ")


@pytest.mark.parametrize("content", ["", "{", "[1]"])
def test_a_folder_of_something_else_is_not_nlvr2(content: str, tmp_path: Path) -> None:
    (tmp_path / "train.json").write_text(content)
    with pytest.raises(DataError, match=r"no <split>/<split>\.json here"):
        rows_of(["nlvr", str(tmp_path)])
