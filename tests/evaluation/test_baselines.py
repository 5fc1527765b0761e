"""Predictors that look at no picture."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vqa.errors import ResultError
from vqa.evaluation.baselines import AnswerPrior, fit, score_baselines
from vqa.evaluation.predictions import Prediction
from vqa.evaluation.protocols import score_predictions


def asked(
    number: int,
    question: str,
    answer: str,
    choices: tuple[str, ...] = (),
    kind: str = "colour",
) -> Prediction:
    label = choices.index(answer) if choices else -1
    return Prediction(
        f"q{number}",
        f"i{number}",
        question=question,
        question_type=kind,
        answers=[answer],
        choices=list(choices),
        label=label,
    )


def test_each_baseline_knows_what_it_may() -> None:
    training = [
        *(asked(n, "sky?", "blue") for n in range(3)),
        *(asked(n, "grass?", "green") for n in range(2)),
        *(asked(n, "how many?", "2", kind="number") for n in range(4)),
    ]
    guesses = fit(training, choices=False)
    sky, unseen, number, foreign = (
        asked(0, "Sky? ", "?"),
        asked(1, "sea?", "?"),
        asked(2, "how few?", "?", kind="number"),
        asked(3, "why?", "?", kind="reason"),
    )
    said = [guesses["question_only"](item).answer for item in (sky, unseen, number, foreign)]
    assert said == ["blue", "blue", "2", "2"]
    assert [guesses["majority"](item).answer for item in (sky, unseen)] == ["2", "2"]
    assert "choices_only" not in guesses


def test_choices_give_themselves_away() -> None:
    """ "bait" is never right, "gold" whenever it is offered, "tin" more often but not so reliably."""
    choices = ("bait", "gold", "tin")
    training = [asked(n, f"{n}?", "gold", choices) for n in range(5)]
    training += [asked(n, f"{n}?", "tin", ("bait", "tin")) for n in range(7)]
    guess = fit(training, choices=True)["choices_only"]
    said = guess(asked(0, "new?", "tin", choices))
    assert said.answer == "gold"
    assert said.choice_scores[0] < said.choice_scores[2] < said.choice_scores[1]
    unseen = guess(asked(0, "new?", "a", ("a", "b")))
    assert unseen.choice_scores[0] == unseen.choice_scores[1]


def test_ties_score_their_chance() -> None:
    training = [asked(n, "x?", "red", ("red", "blue")) for n in range(3)]
    scored = score_predictions(
        [
            asked(n, "x?", "a", ("a", "b", "c", "d")).with_said("b", [0, 1, 0, 0], [], None)
            for n in range(4)
        ],
        "multiple-choice/1",
    )
    report = score_baselines(training, scored.predictions, "multiple-choice/1")
    assert report["questions_seen"] == 100
    for one in report["baselines"].values():
        assert one["overall"] == 25
        assert one["model_gain"]["difference"] == -25
        assert one["interval"]["low"] <= 25 <= one["interval"]["high"]


def test_ten_answers_weigh_as_they_score() -> None:
    split = [Prediction("a", "i", question="x?", answers=["no"] * 5 + ["yes"] * 5)]
    many = [
        Prediction(f"b{n}", "i", question="x?", answers=["no"] * 6 + ["yes"] * 4) for n in range(2)
    ]
    prior = AnswerPrior([*split, *many], [])
    assert prior.answers["yes"] == pytest.approx(3)  # four of ten score all
    assert prior.best(split[0]) == "no"


def test_without_an_answer_there_is_no_baseline() -> None:
    with pytest.raises(ResultError, match="no training question"):
        fit([Prediction("a", "i")], choices=False)


QUESTIONS = st.lists(
    st.tuples(st.sampled_from("xyz"), st.sampled_from("kl"), st.sampled_from("abcde")), min_size=1
)


@given(QUESTIONS, st.tuples(st.sampled_from("xyw"), st.sampled_from("klm")))
def test_the_best_answer_is_the_likeliest_of_all(
    rows: list[tuple[str, str, str]], new: tuple[str, str]
) -> None:
    """Looking at few candidates finds what looking at every answer finds; probabilities add to 1."""
    training = [asked(n, q, a, kind=k) for n, (q, k, a) in enumerate(rows)]
    prior = AnswerPrior(
        training,
        [lambda item: item.question_type, lambda item: (item.question_type, item.question)],
    )
    item = asked(0, new[0], "?", kind=new[1])
    likely = {answer: prior.probability(item, answer) for answer in prior.answers}
    assert prior.best(item) == min(likely, key=lambda answer: (-likely[answer], answer))
    assert sum(likely.values()) <= 1 + 1e-9


def test_counting_needs_no_torch() -> None:
    code = "import sys, vqa.evaluation.baselines; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
