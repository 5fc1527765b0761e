"""TDIUC, VQA-CP, TextVQA and VizWiz: what differs from VQA's own files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.data.sources.tiny import (
    dump,
    good,
    rows_of,
    source_of,
    tdiuc,
    textvqa,
    textvqa_record,
    vizwiz,
    vizwiz_record,
    vqa_cp,
    vqa_pair,
)  # fmt: skip
from vqa.cli import main
from vqa.data.record import BadRow
from vqa.data.sources.vizwiz import VizWiz
from vqa.errors import DataError, InputError


def test_tdiuc_has_one_answer_and_an_absurd_type(tmp_path: Path) -> None:
    rows = good(tdiuc(tmp_path))
    assert [row.example.question_type for row in rows[:3]] == ["color", "absurd", "counting"]
    assert rows[1].example.answers == ["doesnotapply"]
    assert rows[3].image.path == tmp_path / "Images/val2014/COCO_val2014_000000000010.jpg"


def test_pictures_of_tdiuc_are_found_whatever_its_files_say_of_themselves(tmp_path: Path) -> None:
    words = tdiuc(tmp_path)
    for file in (tmp_path / "Questions").iterdir():
        dump(file, {"questions": json.loads(file.read_text())["questions"]})
    assert all(row.image.path and row.image.path.exists() for row in good(words))


def test_vqa_cp_mixes_the_pictures_of_two_splits(tmp_path: Path) -> None:
    rows = good(vqa_cp(tmp_path))
    places = [row.image.path.parent.name for row in rows if row.image.path]
    assert places == ["train2014", "val2014"] * 4
    assert len(rows[0].example.answers) == 10
    assert [row.example.split for row in rows] == ["train"] * 4 + ["test"] * 4


def test_vqa_cp_does_not_mix_its_versions(tmp_path: Path) -> None:
    words = vqa_cp(tmp_path)
    for part in ("questions", "annotations"):
        file = tmp_path / f"vqacp_v2_test_{part}.json"
        file.rename(tmp_path / f"vqacp_v1_test_{part}.json")
    mixed = [word.replace("v2_test", "v1_test") for word in words]
    told = r"vqacp_v1_test_questions.json: a file of VQA-CP v1, and .*v2_train.* is of v2"
    with pytest.raises(InputError, match=told):
        rows_of(mixed)


def test_vqa_cp_reads_annotations_beside_the_questions(tmp_path: Path) -> None:
    words = vqa_cp(tmp_path)
    (tmp_path / "vqacp_v2_test_annotations.json").unlink()
    with pytest.raises(DataError, match=r"vqacp_v2_test_annotations.json: no such file"):
        rows_of(words)
    with pytest.raises(InputError, match="which split"):
        rows_of(["vqa-cp", str(tmp_path / "x.json"), "--text-only"])


def test_vqa_cp_reports_what_does_not_fit(tmp_path: Path) -> None:
    pairs = [vqa_pair(k, 9, coco_split="train2014") for k in range(3)]
    pairs[1][0]["coco_split"] = "test2015"
    extra = vqa_pair(7, 9, coco_split="train2014")[1]
    file = dump(tmp_path / "vqacp_v1_test_questions.json", [q for q, _ in pairs])
    dump(tmp_path / "vqacp_v1_test_annotations.json", [a for _, a in pairs] + [extra])
    bad = [row for row in rows_of(["vqa-cp", str(file), "--text-only"]) if isinstance(row, BadRow)]
    assert [row.where.rpartition(", ")[2] for row in bad] == ["record 1", "record 3"]
    assert "'coco_split'" in bad[0].reason
    assert "not among the questions" in bad[1].reason


def test_the_files_of_vqa_and_vqa_cp_are_told_apart(tmp_path: Path) -> None:
    vqa_cp(tmp_path)
    file = tmp_path / "vqacp_v2_train_questions.json"
    with pytest.raises(DataError, match="looks like a VQA-CP questions file"):
        rows_of(["vqa", "--questions", str(file), "--text-only"])
    dump(file, {"questions": [vqa_pair(1, 2)[0]]})
    with pytest.raises(DataError, match="looks like a VQA questions file"):
        rows_of(["vqa-cp", str(file), "--text-only"])


def test_textvqa_says_its_split_in_every_record(tmp_path: Path) -> None:
    rows = good(textvqa(tmp_path))
    assert [row.example.split for row in rows] == ["train"] * 4 + ["val"] * 4 + ["test"] * 4
    assert rows[0].example.answers == ["nokia"] * 10
    assert rows[-1].example.answers == []
    assert rows[4].image.path == tmp_path / "pictures" / "train_images" / "val0.jpg"
    assert rows[-1].image.path == tmp_path / "pictures" / "test_images" / "test1.jpg"


@pytest.mark.parametrize(
    ("version", "kin"),
    [("0.5.1", None), (None, None), ("0.5", "TextVQA 0.5 ("), ("1.0", "TextVQA 1.0 (")],
)
def test_another_version_of_textvqa_is_named(
    version: str | None, kin: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    head = {} if version is None else {"dataset_version": version}
    file = dump(tmp_path / "x.json", {**head, "data": [textvqa_record(0, "val")]})
    words = ["textvqa", str(file), "--text-only", "--to", str(tmp_path / "store")]
    assert main(["prepare", *words]) == 0
    told = capsys.readouterr().out
    assert (f"these files look like {kin}" in told) == (kin is not None)
    assert ("textvqa: val" in told) == (kin is None)


@pytest.mark.parametrize("fields", [{"set_name": 1}, {"answers": "a"}, {"image_id": 3}])
def test_a_bad_record_of_textvqa_is_reported(fields: dict[str, Any], tmp_path: Path) -> None:
    records = [textvqa_record(0, "val"), textvqa_record(1, "val", **fields)]
    file = dump(tmp_path / "x.json", {"data": records})
    bad = rows_of(["textvqa", str(file), "--text-only"])[1]
    assert isinstance(bad, BadRow)
    assert (bad.where, next(iter(fields)) in bad.reason) == (f"{file}, record 1", True)


def test_vizwiz_knows_what_can_be_answered(tmp_path: Path) -> None:
    rows = good(vizwiz(tmp_path))
    first, second = rows[0].example, rows[1].example
    assert (first.question_id, first.image_id) == (
        "VizWiz_train_00000000",
        "VizWiz_train_00000000.jpg",
    )
    assert (first.question_type, first.answer_type) == ("answerable", "other")
    assert (second.question_type, second.answer_type) == ("unanswerable", "unanswerable")
    assert (rows[-1].example.answers, rows[-1].example.question_type) == ([], "")
    assert rows[-1].image.path == tmp_path / "pictures" / "test" / "VizWiz_test_00000003.jpg"


@pytest.mark.parametrize(
    "fields", [{"answerable": 2}, {"answers": "soup"}, {"answers": [{"a": 1}]}, {"image": 3}]
)
def test_a_bad_record_of_vizwiz_is_reported(fields: dict[str, Any], tmp_path: Path) -> None:
    file = dump(tmp_path / "val.json", [vizwiz_record(0, "val"), vizwiz_record(1, "val", **fields)])
    bad = rows_of(["vizwiz", str(tmp_path), "--text-only"])[1]
    assert isinstance(bad, BadRow)
    assert bad.where == f"{file}, record 1"


@pytest.mark.parametrize(
    ("picture", "kin"),
    [
        ("VizWiz_val_00000000.jpg", None),
        ("VizWiz_val_000000000000.jpg", "VizWiz of 2018 ("),
        ("photo-1.png", "VizWiz with other names of pictures (photo-1.png)"),
    ],
)
def test_another_version_of_vizwiz_is_named(picture: str, kin: str | None, tmp_path: Path) -> None:
    dump(tmp_path / "val.json", [vizwiz_record(0, "val", image=picture)])
    source = source_of(["vizwiz", str(tmp_path), "--text-only"])
    assert isinstance(source, VizWiz)
    assert (source.resembles or "").startswith(kin or "")
    assert (source.resembles is None) == (kin is None)


def test_captions_of_vizwiz_are_no_questions(tmp_path: Path) -> None:
    dump(tmp_path / "val.json", {"annotations": [{"caption": "soup"}]})
    with pytest.raises(DataError, match="captions"):
        rows_of(["vizwiz", str(tmp_path), "--text-only"])
