"""DAQUAR: questions and answers in turns; the picture's name is in the question and does not stay there."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.data.sources.tiny import daquar, good, rows_of
from vqa.data.record import BadRow
from vqa.data.sources.daquar import without_picture
from vqa.errors import DataError, InputError


def test_the_picture_is_named_in_the_question_and_left_out_of_it(tmp_path: Path) -> None:
    first, second, third, *_ = good(daquar(tmp_path))
    assert first.example.question == "what is on the right side of the black telephone ?"
    assert (first.example.image_id, first.example.question_id) == ("image3", "train/0")
    assert first.image.path == tmp_path / "nyu" / "image3.png"
    assert (second.example.question_type, second.example.answers) == ("number", ["6"])
    assert (third.example.answer_type, third.example.answers) == ("several", ["photo, lamp"])


@pytest.mark.parametrize(
    ("asked", "left"),
    [
        ("what is in front of the wall in the image12 ?", "what is in front of the wall ?"),
        ("what is the object on the image3?", "what is the object ?"),
        ("how many in this image9", "how many"),
        ("what colour is the chair in image7 ?", "what colour is the chair ?"),
        ("what is in image1 left of the lamp ?", "what is in image1 left of the lamp ?"),
    ],
)
def test_only_words_at_the_end_are_left_out(asked: str, left: str) -> None:
    assert without_picture(asked) == left


@given(st.text())
def test_leaving_out_never_adds(text: str) -> None:
    left = without_picture(text)
    assert set(left.split()) <= set(text.split()) | {"?"} | set(text.replace("?", " ? ").split())


def test_what_cannot_be_used_is_reported_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "qa.894.raw.test.txt"
    file.write_text("what is this ?\ndesk\nwhat is in the image3 ?\n\nwhat in the image4 ?\nbed\n")
    no_picture, no_answer, fine = rows_of(["daquar", str(file), "--text-only"])
    assert isinstance(no_picture, BadRow)
    assert isinstance(no_answer, BadRow)
    assert (no_picture.where, no_answer.where) == (f"{file}, line 1", f"{file}, line 3")
    assert "names no picture" in no_picture.reason
    assert "no answer" in no_answer.reason
    assert not isinstance(fine, BadRow)


def test_an_odd_number_of_lines_is_another_file(tmp_path: Path) -> None:
    file = tmp_path / "train.txt"
    file.write_text("image1\nimage2\nimage3\n")
    with pytest.raises(DataError, match="3 lines, but questions and answers alternate"):
        rows_of(["daquar", f"train={file}", "--text-only"])
    with pytest.raises(InputError, match="which split"):
        rows_of(["daquar", str(file), "--text-only"])
