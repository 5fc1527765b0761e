"""VQA accuracy: agreement with every number of the official evaluator, and its rules one by one."""

import gzip
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vqa.errors import ResultError
from vqa.evaluation.accuracy import (
    BEFORE_2021,
    SINCE_2021,
    Dialect,
    VQAAccuracy,
    exact_score,
    soft_accuracy,
)
from vqa.evaluation.explain import explain_accuracy
from vqa.evaluation.predictions import Prediction
from vqa.evaluation.protocols import DIALECTS, score_predictions

Load = Callable[[str], Any]


@pytest.fixture(scope="module")
def load(shared: Path) -> Load:
    """Reads one of the VQA v2 reference files."""
    folder = shared / "vqa2-60k-text"
    return lambda name: json.loads(gzip.decompress((folder / name).read_bytes()))


@pytest.fixture(scope="module")
def annotations(load: Load) -> list[dict]:
    return load("v2_mscoco_valid_annotations.json.gz")["annotations"]


def joined(annotations: list[dict], results: list[dict]) -> list[Prediction]:
    said = {record["question_id"]: record["answer"] for record in results}
    return [
        Prediction(
            str(record["question_id"]),
            str(record["image_id"]),
            question_type=record["question_type"],
            answer_type=record["answer_type"],
            answer=said[record["question_id"]],
            answers=[human["answer"] for human in record["answers"]],
        )
        for record in annotations
    ]


@pytest.mark.parametrize("name", ["yes", "qtype-prior", "mc-answer", "human-perturbed"])
@pytest.mark.parametrize("protocol", DIALECTS)
def test_every_official_number(
    name: str, protocol: str, annotations: list[dict], load: Load
) -> None:
    dialect = protocol.split("/")[1]
    official = load(f"reference/valid_{name}_scores_{dialect}.json.gz")
    predictions = joined(annotations, load(f"reference/valid_{name}_results.json.gz"))
    result = score_predictions(predictions, protocol, resamples=0).to_json(per_question=True)
    assert result["per_question"] == official["evalQA"]
    assert result["overall"] == official["accuracy"]["overall"]
    assert result["per_answer_type"] == official["accuracy"]["perAnswerType"]
    assert result["per_question_type"] == official["accuracy"]["perQuestionType"]
    assert result["n"] == 8957


@pytest.mark.parametrize(
    ("matches", "score"), [(0, 0), (1, 30), (2, 60), (3, 90), (4, 100), (10, 100)]
)
@pytest.mark.parametrize("dialect", [SINCE_2021, BEFORE_2021])
def test_matches_of_ten(dialect: Dialect, matches: int, score: float) -> None:
    answers = ["cat"] * matches + ["dog"] * (10 - matches)
    assert VQAAccuracy(dialect).score("cat", answers) == score


def test_where_all_agree_the_dialects_differ() -> None:
    assert VQAAccuracy(SINCE_2021).score("Yes", ["yes"] * 10) == 0
    assert VQAAccuracy(BEFORE_2021).score("Yes", ["yes"] * 10) == 100


def test_a_human_number_word_matches_only_since_2021() -> None:
    answers = ["two"] * 9 + ["2"]
    assert VQAAccuracy(SINCE_2021).score("two", answers) == 100
    assert VQAAccuracy(BEFORE_2021).score("two", answers) == 30


def test_blanks_at_the_ends_decide_whether_all_agree_only_since_2021() -> None:
    answers = ["yes"] * 9 + ["yes "]
    assert VQAAccuracy(SINCE_2021).score("Yes", answers) == 0
    assert VQAAccuracy(BEFORE_2021).score("Yes", answers) == 100


def test_the_others_are_told_by_position() -> None:
    """Equal answer records, which the official tool would drop all at once, count."""
    assert VQAAccuracy(SINCE_2021).score("yes", ["yes"] * 10) == 100


def test_one_answer_has_no_others() -> None:
    assert VQAAccuracy(SINCE_2021).score("yes", ["yes"]) == 0
    lone = Prediction("1", "i", answer="yes", answers=["yes"])
    assert "exact/1" in score_predictions([lone], "vqa-accuracy/since-2021").notes[0]


@given(st.lists(st.booleans(), min_size=1, max_size=12))
def test_closed_form(matches: list[bool]) -> None:
    count, total = sum(matches), len(matches)
    left_in, left_out = min(1, max(0, count - 1) / 3), min(1, count / 3)
    expected = (count * left_in + (total - count) * left_out) / total
    assert soft_accuracy(tuple(matches)) == pytest.approx(expected)


answer_texts = st.sampled_from(
    ["yes", "Yes", "no.", " no", "two", "2", "the cat", "cat", "", "1,000"]
)


@given(answer_texts, st.lists(answer_texts, min_size=10, max_size=10), st.randoms())
def test_the_order_of_the_answers_does_not_matter(answer: str, answers: list[str], random) -> None:
    shuffled = random.sample(answers, 10)
    for dialect in (SINCE_2021, BEFORE_2021):
        accuracy = VQAAccuracy(dialect)
        assert accuracy.score(answer, answers) == accuracy.score(answer, shuffled)


@given(st.lists(answer_texts, min_size=10, max_size=10))
def test_a_human_majority_scores_full_marks_since_2021(answers: list[str]) -> None:
    answer, count = Counter(answers).most_common(1)[0]
    if count >= 4:
        assert VQAAccuracy(SINCE_2021).score(answer, answers) == 100


def test_a_missing_answer_is_wrong_even_where_humans_left_it_empty() -> None:
    assert VQAAccuracy(SINCE_2021).score(None, [""] * 10) == 0
    assert VQAAccuracy(SINCE_2021).score("", [""] * 10) == 100
    assert exact_score(None, [""]) == 0


def test_exact() -> None:
    assert exact_score(" Red\n", ["blue", "red"]) == 100
    assert exact_score("red.", ["red"]) == 0
    assert exact_score("two", ["2"]) == 0


def test_a_question_is_scored_once() -> None:
    twice = [Prediction("1", "i", answer="yes", answers=["yes"])] * 2
    with pytest.raises(ResultError, match="question 1: predicted twice"):
        score_predictions(twice, "exact/1")


def test_withheld_answers_are_refused() -> None:
    for protocol in ("vqa-accuracy/since-2021", "exact/1"):
        with pytest.raises(ResultError, match="question 7"):
            score_predictions([Prediction("7", "i", answer="x")], protocol)


def test_explain_shows_both_sides_and_the_score() -> None:
    text = "\n".join(
        explain_accuracy("The  DONT, 2", ["don't 2"] * 4 + ["dont two"] * 6, SINCE_2021)
    )
    assert "'The DONT 2'" not in text  # full stops and punctuation do not join words
    for shown in ("'the dont 2'", "'dont 2'", '"don\'t 2"', "human answer × 6, a match"):
        assert shown in text
    assert text.endswith("10 of 10 match: score 100.00")


def test_explain_says_when_nothing_is_normalised() -> None:
    text = "\n".join(explain_accuracy("Yes", ["yes"] * 10, SINCE_2021))
    assert "all the same" in text
    assert "lower case" not in text
    assert text.endswith("0 of 10 match: score 0.00")


def test_explain_says_why_a_single_answer_scores_nothing() -> None:
    assert explain_accuracy("yes", ["yes"], SINCE_2021)[-1] == (
        "1 of 1 match; one set aside leaves no other to agree with: score 0.00"
    )
