"""GQA: types as its protocol needs them, balanced and all files, splits by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.data.sources.tiny import dump, good, gqa, gqa_question, rows_of
from vqa.cli import main
from vqa.data.record import BadRow
from vqa.errors import DataError, InputError


def test_a_question_has_the_types_that_the_protocol_reads(tmp_path: Path) -> None:
    example = good(gqa(tmp_path))[0].example
    assert (example.question_id, example.image_id) == ("00000", "n161313")
    assert (example.answers, example.split) == (["yes"], "train")
    assert (example.question_type, example.answer_type) == ("verify", "binary")
    records = {"1": gqa_question(0, types={"structural": "query", "semantic": "attr"})}
    file = dump(tmp_path / "testdev_balanced_questions.json", records)
    (row,) = good(["gqa", str(file), "--text-only"])
    assert (row.example.answer_type, row.example.split) == ("open", "testdev")


def test_all_questions_are_taken_on_demand_from_file_or_folder_of_files(tmp_path: Path) -> None:
    gqa(tmp_path)
    parts = tmp_path / "train_all_questions"
    for part in range(2):
        dump(parts / f"train_all_questions_{part}.json", {f"9{part}": gqa_question(part)})
    dump(tmp_path / "val_all_questions.json", {"8": gqa_question(0, isBalanced=False)})
    rows = good(["gqa", str(tmp_path), "--all", "--text-only"])
    assert [row.example.question_id for row in rows] == ["90", "91", "8"]
    assert len(good(["gqa", str(tmp_path), "--text-only"])) == 14


def test_a_split_is_named_where_the_file_does_not_say(tmp_path: Path) -> None:
    file = dump(tmp_path / "mine.json", {"1": gqa_question(0)})
    (row,) = good(["gqa", f"val={file}", "--text-only"])
    assert row.example.split == "val"
    with pytest.raises(InputError, match=r"which split .* val=mine.json"):
        rows_of(["gqa", str(file), "--text-only"])


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("train_all_questions/train_all_questions_0.json", (), r"but all questions \(.*use --all"),
        ("train_all_questions.json", (), r"but all questions .*use --all"),
        ("val_balanced_questions.json", ("--all",), r"but balanced questions .*leave out --all"),
        ("train_sceneGraphs.json", (), r"looks like GQA's scene graphs"),
        ("other.json", (), r"no <split>_balanced_questions\.json here — give the folder"),
    ],
)
def test_a_folder_of_other_files_says_what_there_is(
    name: str, options: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    dump(tmp_path / name, {"1": gqa_question(0)})
    with pytest.raises(DataError, match=message):
        rows_of(["gqa", str(tmp_path)], *options)


def test_a_file_of_scene_graphs_is_named(tmp_path: Path) -> None:
    file = dump(tmp_path / "val_sceneGraphs.json", {"1": {"objects": {}, "width": 3}})
    with pytest.raises(DataError, match="looks like GQA scene graphs"):
        rows_of(["gqa", str(file), "--text-only"])


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"imageId": None}, "'imageId'"),
        ({"question": 3}, "'question'"),
        ({"answer": []}, "'answer'"),
        ({"types": []}, "'types'"),
        ({"types": {"structural": 3}}, "'structural'"),
    ],
)
def test_a_bad_record_is_reported(fields: dict[str, Any], reason: str, tmp_path: Path) -> None:
    records = {"1": gqa_question(0), "2": gqa_question(0, **fields), "3": 5}
    file = dump(tmp_path / "val_balanced_questions.json", records)
    _, bad, worse = rows_of(["gqa", str(file), "--text-only"])
    assert isinstance(bad, BadRow)
    assert isinstance(worse, BadRow)
    assert bad.where == f"{file}, question 2"
    assert reason in bad.reason


@pytest.mark.parametrize(
    ("content", "name"),
    [
        ({"1": {"objects": {}, "width": 3, "height": 4}}, "scene graphs"),
        ({"1": {"valid": [], "plausible": []}}, "choices"),
        ([{"questionId": "1", "prediction": "yes"}], "result file"),
        ({"questions": [{"image_filename": "a.png"}]}, "CLEVR"),
    ],
)
def test_another_layout_is_named(content: Any, name: str, tmp_path: Path) -> None:
    file = dump(tmp_path / "val_balanced_questions.json", content)
    with pytest.raises(DataError, match=f"looks like .*{name}"):
        rows_of(["gqa", str(file), "--text-only"])


def test_predictions_of_a_store_are_scored_by_the_protocol(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = good(gqa(tmp_path), "--text-only")
    results = tmp_path / "results.json"
    said = [(row.example.question_id, row.example.answers) for row in rows]
    results.write_text(
        json.dumps([{"questionId": i, "prediction": a[0]} for i, a in said if i.startswith("1")])
    )
    file = tmp_path / "val_balanced_questions.json"
    words = ["score", "--protocol", "gqa/1", "--questions", str(file), "--results", str(results)]
    assert main([*words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["overall"], told["n"]) == (100.0, 4)
