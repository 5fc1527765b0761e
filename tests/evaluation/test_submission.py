"""Leaderboard files: the official layouts, complete or not written at all."""

import json
from pathlib import Path
from typing import Any

import pytest

from vqa.errors import InputError, ResultError
from vqa.evaluation.coverage import IdMismatch
from vqa.evaluation.predictions import Prediction
from vqa.evaluation.said import read_results
from vqa.evaluation.submission import write_submission

VQA = {"questions": [{"question_id": at, "image_id": 1, "question": "?"} for at in (7, 3, 5)]}
GQA = {key: {"imageId": "n", "question": "?", "isBalanced": key == "3"} for key in ("07", "3", "5")}
V7W = {
    "images": [
        {"image_id": 1, "split": "test", "qa_pairs": [{"qa_id": 7}, {"qa_id": 3}]},
        {"image_id": 2, "split": "val", "qa_pairs": [{"qa_id": 5}]},
    ]
}


def said(*ids: str) -> list[Prediction]:
    return [Prediction(one, "1", answer=f"ä {one}", question="who?") for one in ids]


def questions(path: Path, value: Any) -> Path:
    file = path / "questions.json"
    file.write_text(json.dumps(value))
    return file


def test_vqa(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    assert write_submission(out, said("3", "5", "7"), questions(tmp_path, VQA)) == "vqa"
    assert json.loads(out.read_text()) == [
        {"question_id": at, "answer": f"ä {at}"} for at in (7, 3, 5)
    ]
    assert [one.question_id for one in read_results(out)] == ["7", "3", "5"]


def test_gqa_has_text_ids_and_the_unbalanced_questions(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    assert write_submission(out, said("5", "07", "3"), questions(tmp_path, GQA)) == "gqa"
    assert json.loads(out.read_text())[0] == {"questionId": "07", "prediction": "ä 07"}
    assert len(read_results(out)) == 3


def test_visual7w_of_one_split(tmp_path: Path) -> None:
    out, file = tmp_path / "out.json", questions(tmp_path, V7W)
    assert write_submission(out, said("3", "7"), file, split="test") == "visual7w"
    first = json.loads(out.read_text())[0]
    assert first == {"qa_id": 7, "question": "who?", "candidates": [{"answer": "ä 7"}]}
    with pytest.raises(InputError, match="no split 'train'"):
        write_submission(out, said("3"), file, split="train")


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (("3", "5"), "1 questions have no answer"),
        (("3", "5", "7", "7"), "more than once"),
        (("3", "5", "7", "9"), r"no question's \(9\)"),
    ],
)
def test_ids_must_fit_and_nothing_is_written(tmp_path: Path, ids: tuple, message: str) -> None:
    out = tmp_path / "out.json"
    with pytest.raises(IdMismatch, match=message):
        write_submission(out, said(*ids), questions(tmp_path, VQA))
    assert not out.exists()


def test_the_best_choice_is_submitted_and_silence_refused(tmp_path: Path) -> None:
    out, file = tmp_path / "out.json", questions(tmp_path, {"questions": VQA["questions"][:1]})
    chosen = Prediction("7", "1", choices=["a", "b", "c"], choice_scores=[None, 2.0, 2.0])
    write_submission(out, [chosen], file)
    assert json.loads(out.read_text()) == [{"question_id": 7, "answer": "b"}]
    with pytest.raises(ResultError, match="question 7: has no answer"):
        write_submission(out, [Prediction("7", "1")], file)


def test_a_question_file_that_asks_twice_is_refused(tmp_path: Path) -> None:
    twice = {"questions": [*VQA["questions"], {"question_id": "3", "image_id": 1}]}
    with pytest.raises(ResultError, match=r"asks questions twice \(3\)"):
        write_submission(tmp_path / "out", said("3", "5", "7"), questions(tmp_path, twice))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("value", [[], {}, {"a": 1}, {"questions": [{}]}, {"images": [{}]}])
def test_unknown_question_files(tmp_path: Path, value: Any) -> None:
    with pytest.raises(ResultError, match=r"questions\.json"):
        write_submission(tmp_path / "out", said("1"), questions(tmp_path, value))
