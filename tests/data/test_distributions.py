"""Distributions of a store that can be counted by hand."""

from __future__ import annotations

import pytest

from vqa.data.distributions import LAST, TOP
from vqa.data.inspect import inspect
from vqa.data.prepare import prepare


@pytest.fixture
def told(tmp_path, make, rows_of):
    rows = [
        make.row(question="is it?", answers=["yes", "yes", "no"], question_type="is"),
        make.row(question="is it red?", answers=["no"], question_type="is"),
        make.row(choices=["red", "b"], label=0, question_type="what"),
        make.row(split="val", question="is it?", answers=["no"]),
        make.row(split="hidden", question="w " * (LAST + 5), answers=[]),
    ]
    return inspect(prepare(rows_of(rows), tmp_path / "store"))["distributions"]


def test_numbers_stand_in_their_order_and_the_last_holds_what_is_more(told) -> None:
    assert told["words"]["labels"] == ["2", "3", "4", f"{LAST}+"]
    assert told["words"]["splits"] == {
        "train": [1, 1, 1, 0],
        "val": [1, 0, 0, 0],
        "hidden": [0, 0, 0, 1],
    }


def test_each_question_counts_by_its_most_frequent_answer(told) -> None:
    assert told["answers"] == {
        "labels": ["no", "red", "yes"],
        "distinct": 3,
        "splits": {"train": [1, 1, 1], "val": [1, 0, 0], "hidden": [0, 0, 0]},
        "rest": {"train": 0, "val": 0, "hidden": 0},
    }


def test_types_choices_and_places(told) -> None:
    assert told["question_types"]["labels"] == ["is", "what"]
    assert told["question_types"]["splits"]["train"] == [2, 1]
    assert "answer_types" not in told
    assert told["choices"]["splits"] == {"train": [1], "val": [0], "hidden": [0]}
    assert (told["right_place"]["labels"], told["right_place"]["splits"]["train"]) == (["1"], [1])


def test_what_is_rare_is_counted_as_the_rest(tmp_path, make, rows_of) -> None:
    rows = [make.row(answers=[f"a{k:03}"]) for k in range(TOP + 7)]
    rows += [make.row(answers=["a026"])]
    answers = inspect(prepare(rows_of(rows), tmp_path / "store"))["distributions"]["answers"]
    assert answers["labels"] == ["a026", *(f"a{k:03}" for k in range(TOP - 1))]
    assert answers["rest"] == {"train": 7}
    assert answers["distinct"] == TOP + 7
