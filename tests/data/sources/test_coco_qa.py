"""COCO-QA: four files of lines that belong together."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.data.sources.tiny import coco_qa, dump, good, rows_of
from vqa.data.record import BadRow
from vqa.errors import DataError


def test_a_folder_of_another_set_is_named(tmp_path: Path) -> None:
    dump(tmp_path / "train" / "questions.json", [["What is it?", "circle", 0]])
    with pytest.raises(DataError, match="it looks like easy-VQA"):
        rows_of(["coco-qa", str(tmp_path), "--text-only"])


def test_lines_of_a_number_belong_together(tmp_path: Path) -> None:
    rows = good(coco_qa(tmp_path))
    example = rows[1].example
    assert (example.question, example.answers) == ("how many cats are there ?", ["two"])
    assert (example.question_id, example.image_id) == ("train/1", "25")
    assert [row.example.question_type for row in rows[:3]] == ["object", "number", "colour"]
    assert rows[0].image.path == tmp_path / "coco/train2014/COCO_train2014_000000000009.jpg"
    assert rows[3].image.path == tmp_path / "coco/val2014/COCO_val2014_000000000042.jpg"


def test_files_of_different_lengths_do_not_belong_together(tmp_path: Path) -> None:
    words = coco_qa(tmp_path)
    with (tmp_path / "train" / "answers.txt").open("a") as file:
        file.write("dog\n")
    told = r"questions.txt 3, answers.txt 4, img_ids.txt 3, types.txt 3"
    with pytest.raises(DataError, match=told):
        rows_of(words)


@pytest.mark.parametrize(
    ("name", "line", "reason"),
    [
        ("types", "4", "0 to 3"),
        ("types", "", "0 to 3"),
        ("img_ids", "../9", "image's number"),
        ("img_ids", "9" * 40, "image's number"),
        ("answers", "", "no answer"),
        ("answers", "what is on the desk ?", "questions.txt and answers.txt exchanged"),
    ],
)
def test_a_bad_line_is_reported(name: str, line: str, reason: str, tmp_path: Path) -> None:
    words = coco_qa(tmp_path)
    file = tmp_path / "train" / f"{name}.txt"
    lines = file.read_text().splitlines()
    lines[1] = line
    file.write_text("\n".join(lines))
    bad = rows_of(words)[1]
    assert isinstance(bad, BadRow)
    assert bad.where == f"{tmp_path / 'train' / 'questions.txt'}, line 2"
    assert reason in bad.reason
