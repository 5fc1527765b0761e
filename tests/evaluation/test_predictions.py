"""The predictions file: what is written comes back, and what is wrong is named."""

import gzip
import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vqa.errors import ResultError
from vqa.evaluation.predictions import (
    MAX_ANSWER,
    Prediction,
    read_predictions,
    write_predictions,
)

OPEN = Prediction(
    question_id="1",
    image_id="i",
    split="val",
    question_type="what",
    answer_type="other",
    answer="rød 🐈",
    answers=["red"] * 10,
    top=[("rød 🐈", 0.75), ("blue", 0.25)],
    confidence=0.75,
    score=30.0,
    question="what?",
)
CHOICE = Prediction("2", "i", choices=["a", "b", "c"], label=1, choice_scores=[0.5, None, -3.0])


def test_round_trip(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "val.jsonl"
    write_predictions(file, [OPEN, CHOICE])
    assert read_predictions(file) == [OPEN, CHOICE]
    assert json.loads(file.read_text().splitlines()[0])["answer"] == "rød 🐈"
    assert [child.name for child in file.parent.iterdir()] == ["val.jsonl"]


def test_gzip_is_told_by_content(tmp_path: Path) -> None:
    file = tmp_path / "val.jsonl"
    file.write_bytes(gzip.compress(json.dumps(OPEN.to_json()).encode()))
    assert read_predictions(file) == [OPEN]


texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=30)


@given(answer=texts | st.none(), choices=st.lists(texts, min_size=1, max_size=5), data=st.data())
def test_any_text_survives_json(
    answer: str | None, choices: list[str], data: st.DataObject
) -> None:
    numbers = st.none() | st.floats(allow_nan=False, allow_infinity=False)
    size = len(choices)
    scores = data.draw(st.lists(numbers, min_size=size, max_size=size))
    made = replace(CHOICE, answer=answer, choices=choices, label=-1, choice_scores=scores)
    assert Prediction.from_json(json.loads(json.dumps(made.to_json()))) == made


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    file = tmp_path / "val.jsonl"
    write_predictions(file, [OPEN])
    for bad in (replace(OPEN, question_id="2", confidence=float("nan")), OPEN):
        with pytest.raises(ResultError):
            write_predictions(file, [OPEN, bad])
    assert read_predictions(file) == [OPEN]
    assert len(list(tmp_path.iterdir())) == 1


BAD_FIELDS = [
    ({"question_id": None}, "question_id"),
    ({"question_id": True}, "question_id"),
    ({"question_id": ""}, "question_id"),
    ({"question_id": "1" * (MAX_ANSWER + 1)}, "question_id"),
    ({"image_id": 1.5}, "image_id"),
    ({"answer": 3}, "answer"),
    ({"answer": "x" * (MAX_ANSWER + 1)}, "characters"),
    ({"answer": "\ud800"}, "surrogate"),
    ({"answers": "red"}, "answers"),
    ({"answers": [1]}, "answers"),
    ({"confidence": 1.5}, "confidence"),
    ({"confidence": "0.5"}, "confidence"),
    ({"score": -1}, "score"),
    ({"score": 100.5}, "score"),
    ({"score": True}, "score"),
    ({"top": [["a"]]}, "top"),
    ({"top": [["a", 1.5]]}, "top"),
    ({"label": 0}, "label"),
    ({"label": 1.0}, "label"),
    ({"choices": ["a"], "choice_scores": [1, 2]}, "choice_scores"),
    ({"choices": ["a"], "choice_scores": ["1"]}, "choice_scores"),
    ({"choices": ["a"], "choice_scores": [10**400]}, "choice_scores"),
]


@pytest.mark.parametrize(("change", "named"), BAD_FIELDS)
def test_a_bad_field_is_named_with_its_line(tmp_path: Path, change: dict, named: str) -> None:
    file = tmp_path / "val.jsonl"
    good = json.dumps(OPEN.to_json())
    file.write_text(good + "\n" + json.dumps({"question_id": "9", "image_id": "i"} | change) + "\n")
    with pytest.raises(ResultError, match=named) as caught:
        read_predictions(file)
    assert caught.value.where == f"{file}:2"


@pytest.mark.parametrize(
    "line",
    [
        "[1]",
        "{",
        '{"question_id": "1"}',
        '{"score": NaN}',
        "[" * 100_000,
        '{"a": 1, "a": 2}',
        "null",
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str) -> None:
    file = tmp_path / "val.jsonl"
    file.write_text("\n" + line)
    with pytest.raises(ResultError, match=r"val\.jsonl:2"):
        read_predictions(file)


def test_a_repeated_id_names_both_lines(tmp_path: Path) -> None:
    file = tmp_path / "val.jsonl"
    file.write_text((json.dumps(OPEN.to_json()) + "\n") * 2)
    with pytest.raises(ResultError, match=r"jsonl:2: .*line 1"):
        read_predictions(file)


def test_unreadable_files(tmp_path: Path) -> None:
    utf16 = tmp_path / "utf16"
    utf16.write_text("{}", encoding="utf-16")
    broken = tmp_path / "broken.gz"
    broken.write_bytes(gzip.compress(b"{}" * 100)[:-9])
    for path in (tmp_path / "absent", tmp_path, utf16, broken):
        with pytest.raises(ResultError, match=path.name):
            read_predictions(path)
