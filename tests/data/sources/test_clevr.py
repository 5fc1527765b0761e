"""CLEVR: types from programs, families, splits without answers, other layouts by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.data.sources.tiny import PROGRAM, clevr, clevr_question, dump, good, rows_of
from vqa.cli import main
from vqa.data.record import BadRow
from vqa.errors import DataError


def questions(folder: Path, *records: Any) -> list[str]:
    file = dump(folder / "CLEVR_val_questions.json", {"info": {}, "questions": list(records)})
    return ["clevr", str(file), "--text-only"]


def test_a_question_has_the_type_of_its_program(tmp_path: Path) -> None:
    row = good(clevr(tmp_path))[1]
    example = row.example
    assert (example.question_id, example.image_id) == ("train/1", "CLEVR_train_000000")
    assert (example.answers, example.split) == (["sphere"], "train")
    assert (example.question_type, example.answer_type) == ("query_shape", "query attribute")
    assert row.image.path == tmp_path / "images" / "train" / "CLEVR_train_000000.png"


def test_types_can_be_the_families_of_templates(tmp_path: Path) -> None:
    rows = good(clevr(tmp_path), "--types", "family")
    assert {row.example.question_type for row in rows} == {"family 07", ""}
    assert {r.example.question_type for r in rows if r.example.split == "test"} == {""}


@pytest.mark.parametrize(
    ("function", "group"),
    [
        ("exist", "exist"), ("count", "count"), ("less_than", "compare integer"),
        ("equal_integer", "compare integer"), ("equal_color", "compare attribute"),
        ("query_material", "query attribute"), ("fly", ""),
    ],
)  # fmt: skip
def test_groups_are_those_of_the_paper(function: str, group: str, tmp_path: Path) -> None:
    program = [PROGRAM[0], {"type": function, "inputs": [0]}]
    (row,) = good(questions(tmp_path, clevr_question("val", 0, program=program)))
    assert (row.example.question_type, row.example.answer_type) == (function, group)


def test_a_question_of_a_person_has_no_program(tmp_path: Path) -> None:
    record = {k: v for k, v in clevr_question("val", 3).items() if k in (
        "split", "image_filename", "question", "answer")}  # fmt: skip
    (row,) = good(questions(tmp_path, record))
    assert (row.example.question_id, row.example.question_type) == ("val/0", "")


HUMANS = ("split", "image_filename", "question", "answer")


@pytest.mark.parametrize(
    ("record", "kin"),
    [
        ({key: clevr_question("val", 3)[key] for key in HUMANS}, "CLEVR-Humans"),
        (clevr_question("new", 0, image_filename="superCLEVR_new_000000.png"), "Super-CLEVR"),
        (clevr_question("val", 0), None),
        (clevr_question("test", 0), None),
    ],
)
def test_kin_are_stored_and_said_to_be_so(
    record: dict[str, Any], kin: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["prepare", *questions(tmp_path, record), "--to", str(tmp_path / "store")]
    assert main(words) == 0
    told = capsys.readouterr().out
    assert (f"clevr: these files look like {kin} (" in told) == (kin is not None)
    assert ("another version or another file" in told) == (kin is None)
    assert main([*words, "--overwrite", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)["looks_like"]
    assert kin is said is None or (kin or "") in said


def test_kin_whose_pictures_lie_elsewhere_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = clevr_question("new", 0, image_filename="superCLEVR_new_000000.png")
    file = dump(tmp_path / "x.json", {"questions": [record]})
    words = ["clevr", str(file), "--images", str(tmp_path), "--to", str(tmp_path / "store")]
    assert main(["prepare", *words]) == 2
    assert "vqa: these files look like Super-CLEVR" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "kin"),
    [
        ("CLEVR-Humans-train.json", "CLEVR-Humans"),
        ("superCLEVR_questions_30k.json", "Super-CLEVR"),
        ("val_balanced_questions.json", "GQA"),
    ],
)
def test_another_folder_is_named(name: str, kin: str, tmp_path: Path) -> None:
    dump(tmp_path / name, {"questions": []})
    with pytest.raises(DataError, match=f"it looks like {kin}"):
        rows_of(["clevr", str(tmp_path), "--text-only"])


def test_splits_come_in_their_order_with_those_of_cogent(tmp_path: Path) -> None:
    for split in ("testB", "valA", "trainA"):
        records = {"questions": [clevr_question(split, 0)]}
        dump(tmp_path / "questions" / f"CLEVR_{split}_questions.json", records)
    rows = good(["clevr", str(tmp_path), "--text-only"])
    assert [row.example.split for row in rows] == ["trainA", "valA", "testB"]
    assert rows[-1].example.answers == []


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"program": {}}, "'program'"),
        ({"program": []}, "'program'"),
        ({"program": [{"inputs": []}]}, "no name"),
        ({"answer": None}, "'answer'"),
        ({"question_index": "0"}, "'question_index'"),
        ({"split": 3}, "'split'"),
    ],
)
def test_a_bad_record_is_reported(fields: dict[str, Any], reason: str, tmp_path: Path) -> None:
    rows = rows_of(questions(tmp_path, clevr_question("val", 0), clevr_question("val", 1) | fields))
    assert isinstance(rows[1], BadRow)
    assert rows[1].where.endswith("CLEVR_val_questions.json, record 1")
    assert reason in rows[1].reason


@pytest.mark.parametrize(
    ("content", "name"),
    [
        ({"scenes": [{"objects": []}]}, "CLEVR scenes"),
        ({"questions": [{"question_id": 1, "image_id": 2, "question": "?"}]}, "VQA questions"),
        ({"1": {"imageId": "2", "question": "?"}}, "GQA questions"),
        ([{"coco_split": "train2014", "question": "?"}], "VQA-CP questions"),
        ({"data": [{"set_name": "val"}]}, "TextVQA"),
    ],
)
def test_another_layout_is_named(content: Any, name: str, tmp_path: Path) -> None:
    file = dump(tmp_path / "x.json", content)
    with pytest.raises(DataError, match=f"not a CLEVR questions file; it looks like .*{name}"):
        rows_of(["clevr", str(file), "--text-only"])
