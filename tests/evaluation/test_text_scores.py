"""Scores of answers that are nearly right, and the means over kinds of question."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vqa.evaluation.explain import explain_question
from vqa.evaluation.predictions import Prediction
from vqa.evaluation.protocols import score_predictions
from vqa.evaluation.text_scores import distance, similarity, token_f1


@pytest.mark.parametrize(
    ("one", "other", "edits"),
    [
        ("", "", 0),
        ("", "abc", 3),
        ("abc", "", 3),
        ("kitten", "sitting", 3),
        ("flaw", "lawn", 2),
        ("ab", "ba", 2),
        ("straße", "strasse", 2),
    ],
)
def test_edit_distances(one: str, other: str, edits: int) -> None:
    assert distance(one, other) == distance(other, one) == edits


@given(st.text("ab", max_size=6), st.text("ab", max_size=6))
def test_the_edit_distance_is_that_of_the_definition(one: str, other: str) -> None:
    def defined(a: str, b: str) -> int:
        if not a or not b:
            return len(a) + len(b)
        replaced = defined(a[1:], b[1:]) + (a[0] != b[0])
        return min(replaced, defined(a[1:], b) + 1, defined(a, b[1:]) + 1)

    assert distance(one, other) == defined(one, other)


@pytest.mark.parametrize(
    ("answer", "right", "score"),
    [
        ("Stop", "stop", 1),
        (" stop  sign ", "stop sign", 1),
        ("stpo", "stop", 0.5),
        ("stxx", "stop", 0.5),
        ("sxxx", "stop", 0),
        ("stops", "stop", 0.8),
        ("stop", "stop sign ahead", 0),
        ("", "stop", 0),
        ("", "", 1),
    ],
)
def test_similarity(answer: str, right: str, score: float) -> None:
    assert similarity(answer, right) == pytest.approx(score)


@pytest.mark.parametrize(
    ("answer", "right", "score"),
    [
        ("The left lung.", "left lung", 1),
        ("lung", "left lung", 2 / 3),
        ("left left lung", "left lung", 0.8),
        ("heart", "left lung", 0),
        ("the", "a", 1),
        ("the", "lung", 0),
    ],
)
def test_words_in_common(answer: str, right: str, score: float) -> None:
    assert token_f1(answer, right) == pytest.approx(score)


def asked(answer: str | None, answers: list[str], kind: str = "", number: int = 0) -> Prediction:
    return Prediction(str(number), "i", question_type=kind, answer=answer, answers=answers)


@pytest.mark.parametrize(("protocol", "score"), [("anls/1", 80), ("token-f1/1", 0)])
def test_the_nearest_right_answer_counts_and_silence_does_not(protocol: str, score: float) -> None:
    assert score_predictions([asked("stops", ["go", "stop"])], protocol).overall == score
    assert score_predictions([asked(None, ["go", ""])], protocol).overall == 0
    assert f"score {score:.2f}" in explain_question(asked("stops", ["stop"]), protocol)


def test_what_is_explained_as_right_is_what_scores() -> None:
    item = replace(asked("blue", ["red"]), choices=["red", "blue"], label=1)
    lines = explain_question(item, "visual7w/1")
    assert ("  right  'blue'" in lines, lines[-1]) == (True, "score 100.00")
    assert "  right  'red'" in explain_question(item, "anls/1")


def test_kinds_of_question_count_alike_however_many_questions_they_have() -> None:
    items = [asked("red", ["Red"], "colour", number) for number in range(8)]
    items += [asked(said, ["2"], "count", 8 + at) for at, said in enumerate("21")]
    result = score_predictions(items, "tdiuc/1")
    assert result.overall == 90
    means = {"arithmetic_mean_per_type": 75.0, "harmonic_mean_per_type": 66.6667}
    assert result.details == means
    never = score_predictions([*items, asked("a", ["b"], "absurd", 10)], "tdiuc/1").details
    assert never == {"arithmetic_mean_per_type": 50.0, "harmonic_mean_per_type": 0.0}
    untyped = score_predictions([asked("a", ["a"])], "tdiuc/1")
    assert (untyped.details, untyped.notes) == ({}, ["not computed: questions have no types"])
