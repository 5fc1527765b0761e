"""Multiple choice: ties, vocabulary, mixed numbers of choices, baselines, position bias, order."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vqa.errors import InputError, ResultError
from vqa.evaluation.choice_order import order_report, permuted, rotated, shuffled
from vqa.evaluation.choice_statistics import describe, position_bias
from vqa.evaluation.multiple_choice import choice_score
from vqa.evaluation.predictions import Prediction
from vqa.evaluation.protocols import choice_scorer, protocol_for, score_predictions


def question(
    number: int, scores: Sequence[float | None], label: int, choices: Sequence[str] = ()
) -> Prediction:
    texts = list(choices) or [f"c{at}" for at in range(len(scores))]
    return Prediction(
        str(number), f"i{number // 3}", choices=texts, label=label, choice_scores=list(scores)
    )


@pytest.mark.parametrize(
    ("scores", "label", "mask", "count_wrong"),
    [
        ([0.1, 0.9], 1, 100, 100),
        ([0.9, 0.1], 1, 0, 0),
        ([0.5, 0.5, 0.5, 0.5], 0, 25, 25),
        ([0.5, 0.5, 0.1], 2, 0, 0),
        ([-5, -5, -9], 1, 50, 50),
        ([None, 0.1, None], 1, 100, 100),
        ([None, 0.1, 0.3], 0, 0, 0),
        ([None, None, None, None], 2, 25, 0),
    ],
)
def test_scores(scores: list, label: int, mask: float, count_wrong: float) -> None:
    item = question(0, scores, label)
    assert choice_score(item, "mask") == mask
    assert choice_score(item, "count-wrong") == count_wrong


def test_answers_by_text() -> None:
    item = Prediction("1", "i", choices=["Red", "red", "blue"], label=0)
    assert choice_score(replace(item, answer="Red")) == 100
    assert choice_score(replace(item, answer="red")) == 0  # exact text goes first
    assert choice_score(replace(item, answer=" RED ")) == 50  # equals both when case is folded
    assert choice_score(item) == 0
    with pytest.raises(ResultError, match="none of the choices"):
        choice_score(replace(item, answer="green"))


def test_the_right_choice_may_stand_twice() -> None:
    item = question(0, [0, 1, 0], label=0, choices=["a", "a", "b"])
    assert choice_score(item) == 100


def test_the_right_choice_from_the_answers_and_its_absence() -> None:
    item = replace(question(0, [1, 0], label=-1, choices=["Yes", "no"]), answers=["yes"])
    assert choice_score(item) == 100
    for broken in (replace(item, answers=["maybe"]), Prediction("1", "i", answer="x")):
        with pytest.raises(ResultError, match="question"):
            choice_score(broken)


numbers = st.sampled_from([None, -1.0, 0.0, 0.5, 1.0])


@given(st.lists(numbers, min_size=2, max_size=18), st.data())
def test_order_decides_nothing(scores: list, data: st.DataObject) -> None:
    item = question(0, scores, data.draw(st.integers(0, len(scores) - 1)))
    order = data.draw(st.permutations(range(len(scores))))
    moved = replace(permuted(item, order), choice_scores=[scores[at] for at in order])
    for policy in ("mask", "count-wrong"):
        assert choice_score(moved, policy) == choice_score(item, policy)


@given(st.lists(numbers, min_size=2, max_size=18))
def test_scores_over_all_labels_add_up_to_one_question(scores: list) -> None:
    """Whatever is chosen, exactly one of the labels would have been right."""
    total = sum(choice_score(question(0, scores, at)) for at in range(len(scores)))
    assert total == pytest.approx(100)


MIXED = [
    question(0, [1, 0], 0, ["yes", "no"]),
    question(1, [0, 1, 0], 1, ["red", "blue", "yes"]),
    question(2, [None, 1, 0, 0], 0, ["yes", "emu", "red", "no"]),
    question(3, [None] * 4, 3, ["a", "b", "c", "d"]),
]


def test_the_result_states_what_the_figure_means() -> None:
    result = score_predictions(MIXED, "multiple-choice/1", resamples=0)
    details = result.details
    assert result.overall == pytest.approx((100 + 100 + 0 + 25) / 4)
    assert details["choices_per_question"] == {"2": 1, "3": 1, "4": 2}
    assert details["chance"] == pytest.approx(100 * (1 / 2 + 1 / 3 + 1 / 4 + 1 / 4) / 4, abs=1e-4)
    assert details["coverage"]["right_answers"] == 50
    assert details["coverage"]["choices"] == pytest.approx(100 * 8 / 13, abs=1e-4)
    assert details["coverage"]["without_any"] == 1
    assert details["majority_position"] == {"position": 1, "accuracy": 50}
    assert "mask" in result.policies["out_of_vocabulary"]
    assert "expected" in result.policies["ties"]
    wrong = score_predictions(MIXED, "multiple-choice/1", out_of_vocabulary="count-wrong")
    assert wrong.overall == 50
    assert wrong.policies != result.policies
    with pytest.raises(InputError, match="count-wrong"):
        score_predictions(MIXED, "multiple-choice/1", out_of_vocabulary="drop")  # type: ignore[arg-type]


def test_the_majority_answer_leaves_the_question_itself_out() -> None:
    """Answers that are all different carry no majority: chance, not 100."""
    items = [question(at, [0, 1], 0, [f"only {at}", "never"]) for at in range(10)]
    assert describe(items)["majority_answer"]["accuracy"] == 50
    often = [question(at, [0, 1], 0, ["yes", f"other {at}"]) for at in range(10)]
    assert describe(often)["majority_answer"] == {"answer": "yes", "accuracy": 100}


def simulated(rng: np.random.Generator, leaning: float, size: int = 1500) -> list[Prediction]:
    """Questions of 3 or 4 choices, answered at random with `leaning` towards the first position."""
    items = []
    for number in range(size):
        scores = rng.random(int(rng.integers(3, 5)))
        scores[0] += leaning
        items.append(question(number, scores.tolist(), int(rng.integers(len(scores)))))
    return items


def test_position_bias_is_found_and_not_invented() -> None:
    rng = np.random.default_rng(7)
    found = [position_bias(simulated(rng, 0.0, 300))["chosen_p"] < 0.05 for _ in range(100)]
    assert sum(found) <= 12  # 5 expected; over 12 has probability below 0.1 %
    biased = position_bias(simulated(rng, 0.2))
    assert biased["chosen_p"] < 1e-6
    assert biased["right_p"] > 1e-4
    fixed = [replace(item, label=2) for item in simulated(rng, 0.0)]
    assert position_bias(fixed)["right_p"] < 1e-6


def test_errors_are_compared_with_what_is_wrong_alone() -> None:
    """Whoever errs cannot choose the truth: where that always stands first, no error there is no leaning."""
    errors = [question(at, [0, at % 2, 1 - at % 2], 0) for at in range(200)]
    assert position_bias(errors)["chosen_p"] == 1


def test_nothing_to_test_is_none() -> None:
    assert position_bias([question(0, [1, 0], 0)])["chosen_p"] is None
    assert (
        describe([Prediction("1", "i", answer="a", choices=["a", "b"], label=0)])["coverage"]
        is None
    )


TEN = ["cat"] * 6 + ["dog"] * 2 + ["cow", "emu"]


@pytest.mark.parametrize(
    ("answer", "scores", "mask", "count_wrong"),
    [
        (None, [0.1, 0.9, 0.5, 0.5], 60, 60),
        ("dog", [0.1, 0.9, 0.5, 0.5], 60, 60),
        ("cat", [0.1, 0.9, 0.5, 0.5], 100, 100),  # said apart from the choices
        (None, [0.9, 0.9, 0.9, None], (100 + 60 + 30) / 3, (100 + 60 + 30) / 3),
        ("cat", [0.9, 0.9, 0.9, None], (100 + 60 + 30) / 3, (100 + 60 + 30) / 3),
        (None, [None] * 4, (100 + 60 + 30 + 0) / 4, 0),
        ("dog", [], 60, 60),
        ("yak", [], 0, 0),
    ],
)
def test_vqa_accuracy_of_choices_is_that_of_the_best_scored_one(
    answer: str | None, scores: list, mask: float, count_wrong: float
) -> None:
    choices = ["cat", "dog", "cow", "yak"]
    item = Prediction("1", "i", answers=TEN, choices=choices, label=0, choice_scores=scores)
    asked = [replace(item, answer=answer)]
    for policy, score in (("mask", mask), ("count-wrong", count_wrong)):
        result = score_predictions(asked, "vqa-accuracy/since-2021", out_of_vocabulary=policy)
        assert result.overall == pytest.approx(score)
        assert ("out_of_vocabulary" in result.policies) == bool(scores)
        assert ("ties" in result.details) == bool(scores)


def test_default_protocols() -> None:
    ten = Prediction("1", "i", answers=["a"] * 10)
    assert protocol_for(MIXED) == "multiple-choice/1"
    assert protocol_for([ten]) == "vqa-accuracy/since-2021"
    assert protocol_for([replace(ten, choices=["a", "b"], label=0)]) == "multiple-choice/1"
    assert protocol_for([ten, Prediction("2", "i", answers=["a"])]) == "exact/1"


def by_meaning(items: list[Prediction]) -> list[Prediction]:
    return [
        replace(item, choice_scores=[float(len(choice)) for choice in item.choices])
        for item in items
    ]


def by_position(items: list[Prediction]) -> list[Prediction]:
    return [replace(item, choice_scores=[1.0] + [0.0] * (len(item.choices) - 1)) for item in items]


LENGTHS = [
    question(at, [0] * size, size - 1, ["x" * (place + 1) for place in range(size)])
    for at, size in enumerate([2, 3, 4, 4])
]


def test_a_model_that_answers_by_meaning_does_not_mind_the_order() -> None:
    report = order_report(by_meaning(LENGTHS), by_meaning, shuffles=2)
    assert report["given"] == report["circular"] == report["rotations"] == 100
    assert report["shuffled"] == {"mean": 100, "each": [100, 100]}
    assert report["same_choice"] == 100


def test_a_model_that_answers_by_position_is_found_out() -> None:
    truth_first = [permuted(item, [item.label, *range(item.label)]) for item in LENGTHS]
    report = order_report(by_position(truth_first), by_position, shuffles=1)
    assert report["given"] == 100
    assert report["circular"] == report["same_choice"] == 0
    assert report["rotations"] == pytest.approx(100 * (1 / 2 + 1 / 3 + 1 / 4 + 1 / 4) / 4, abs=1e-3)


def test_an_order_is_scored_as_the_protocol_scores_choices() -> None:
    """Three of ten people said "no", which is not the label."""
    people = ["yes"] * 7 + ["no"] * 3
    item = Prediction("1", "i", answers=people, choices=["no", "yes"], label=1)
    soft = choice_scorer("vqa-accuracy/since-2021", "mask")
    report = order_report(by_position([item]), by_position, shuffles=0, score=soft)
    assert (report["given"], report["circular"], report["rotations"]) == (90, 90, 95)
    strict = choice_scorer("multiple-choice/1", "mask")
    report = order_report(by_position([item]), by_position, shuffles=0, score=strict)
    assert (report["given"], report["circular"], report["rotations"]) == (0, 0, 50)


def test_permuted_keeps_the_right_choice() -> None:
    for moved in (*rotated(LENGTHS, 1), *shuffled(LENGTHS, 3)):
        assert moved.choices[moved.label] == "x" * len(moved.choices)
    assert shuffled(LENGTHS, 3) == shuffled(LENGTHS, 3)
    with pytest.raises(ValueError, match="no permutation"):
        permuted(LENGTHS[0], [0, 0])
    with pytest.raises(ResultError, match="other questions"):
        order_report(by_meaning(LENGTHS), lambda items: items[:1])


@pytest.mark.parametrize("width", [3, 5, 7])
@pytest.mark.parametrize("count", [100, 333])
def test_of_equally_many_choices_the_p_is_pearsons(width: int, count: int) -> None:
    """With one degree of freedom less than there are positions, whatever rounding makes of the shares."""
    from scipy.stats import chisquare

    labels = np.random.default_rng(width).integers(0, width, count)
    asked = [question(at, [0.0] * width, int(label)) for at, label in enumerate(labels)]
    expected = chisquare(np.bincount(labels, minlength=width)).pvalue
    assert position_bias(asked)["right_p"] == pytest.approx(expected, abs=1e-6)
