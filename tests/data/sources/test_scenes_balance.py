"""Nothing but the picture may tell the right choice: every blind predictor must sit at 25 %.

Each predictor counts on one half of the images and is tried on the other. The bands are four
standard deviations of a coin of 25 % wide, 1.6 points here, so that a bias of 3 points fails.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterator
from random import Random

import pytest

from vqa.data.record import Example
from vqa.data.sources.scenes import LEVELS
from vqa.data.sources.scenes.levels import KINDS, level_named
from vqa.data.sources.scenes.source import example_of, make_scene

IMAGES = 4000
CHANCE = 0.25


def examples(level: str, split: str) -> Iterator[Example]:
    """The examples of `Scenes`, without drawing a picture."""
    for index in range(IMAGES // 2):
        rng = Random(f"balance {level} {split} {index}")
        _, questions = make_scene(level_named(level), 6, rng)
        for number, question in enumerate(questions):
            yield example_of(question, f"{split}-{index}", number, split)


@pytest.fixture(scope="module", params=list(LEVELS))
def halves(request: pytest.FixtureRequest) -> tuple[list[Example], list[Example]]:
    return list(examples(request.param, "train")), list(examples(request.param, "test"))


Features = Callable[[Example, int], Iterator[Hashable]]


def position(example: Example, choice: int) -> Iterator[Hashable]:
    yield choice


def question_text(example: Example, choice: int) -> Iterator[Hashable]:
    yield example.question, example.choices[choice]


def question_words(example: Example, choice: int) -> Iterator[Hashable]:
    """Every word of the question, every pair of neighbours, and the choice."""
    words = example.question.lower().split()
    for word in [*words, *itertools.pairwise(words)]:
        yield word, example.choices[choice]


def choice_text(example: Example, choice: int) -> Iterator[Hashable]:
    yield example.choices[choice]


def choice_within_kind(example: Example, choice: int) -> Iterator[Hashable]:
    yield example.question_type, example.choices[choice]


def choice_set(example: Example, choice: int) -> Iterator[Hashable]:
    yield tuple(sorted(example.choices)), example.choices[choice]


def question_and_choice_set(example: Example, choice: int) -> Iterator[Hashable]:
    """As exact as can be, and the first words with the set, which recur more often."""
    choices, text = tuple(sorted(example.choices)), example.choices[choice]
    yield example.question, choices, text
    yield tuple(example.question.split()[:2]), choices, text


def likeness(example: Example, choice: int) -> Iterator[Hashable]:
    """How many words the choice shares with the other choices, and its rank by that."""
    shared = [shared_words(example.choices, i) for i in range(4)]
    yield example.question_type, shared[choice]
    yield example.question_type, sorted(shared).index(shared[choice])


def shared_words(choices: list[str], index: int) -> int:
    others = [word for i, text in enumerate(choices) if i != index for word in text.split()]
    return sum(others.count(word) for word in choices[index].split())


def overlap_with_question(example: Example, choice: int) -> Iterator[Hashable]:
    """Whether the question names a word of the choice."""
    words = set(example.question.lower().strip("?.").split())
    yield example.question_type, len(words & set(example.choices[choice].split()))


def rank(example: Example, choice: int) -> Iterator[Hashable]:
    """Place of the choice in alphabetical order (numbers: in size), and its length."""
    order = sorted(example.choices)
    yield example.question_type, order.index(example.choices[choice])
    yield example.question_type, len(example.choices[choice])


PREDICTORS: tuple[Features, ...] = (
    position,
    question_text,
    question_words,
    choice_text,
    choice_within_kind,
    choice_set,
    question_and_choice_set,
    likeness,
    overlap_with_question,
    rank,
)


class Blind:
    """Naive Bayes over whatever a predictor looks at: log odds of right against wrong."""

    def __init__(self, features: Features, seen: list[Example]) -> None:
        self.features = features
        self.right: Counter[Hashable] = Counter()
        self.all: Counter[Hashable] = Counter()
        for example in seen:
            for choice in range(4):
                found = list(features(example, choice))
                self.all.update(found)
                self.right.update(found if choice == example.label else ())

    def score(self, example: Example, choice: int) -> float:
        keys = self.features(example, choice)
        return sum(
            math.log((self.right[key] + CHANCE) / (self.all[key] + 1) / CHANCE) for key in keys
        )

    def credit(self, example: Example) -> float:
        """1 for the right choice, shared between equal ones."""
        scores = [round(self.score(example, choice), 9) for choice in range(4)]
        best = [choice for choice in range(4) if scores[choice] == max(scores)]
        return (example.label in best) / len(best)


def deviations(credits: list[float]) -> float:
    """How many standard deviations of a 25 % coin the mean lies off 25 %."""
    mean = sum(credits) / len(credits)
    return (mean - CHANCE) / math.sqrt(CHANCE * (1 - CHANCE) / len(credits))


@pytest.mark.parametrize("features", PREDICTORS, ids=lambda f: f.__name__)
def test_blind_predictor_sits_at_chance(
    halves: tuple[list[Example], list[Example]], features: Features
) -> None:
    seen, unseen = halves
    blind = Blind(features, seen)
    credits: dict[str, list[float]] = defaultdict(list)
    for example in unseen:
        credits[example.question_type].append(blind.credit(example))
    total = [credit for kind in credits.values() for credit in kind]
    assert 4 * math.sqrt(CHANCE * (1 - CHANCE) / len(total)) < 0.017, "a bias of 3 points must show"
    assert abs(deviations(total)) < 4
    off = {kind: deviations(of_kind) for kind, of_kind in credits.items()}
    assert {kind: value for kind, value in off.items() if abs(value) > 4.5} == {}


def test_the_predictors_find_a_bias_of_three_points(
    halves: tuple[list[Example], list[Example]],
) -> None:
    """The same questions with 4 % of the labels moved to where each predictor can see them."""
    seen, unseen = halves
    for features in (position, rank):
        blind = Blind(features, [biased(e, features, i) for i, e in enumerate(seen)])
        credits = [blind.credit(biased(e, features, i)) for i, e in enumerate(unseen)]
        assert deviations(credits) > 4


def biased(example: Example, features: Features, index: int) -> Example:
    """The example, but in 4 of 100 cases its label is the first position, or the first word."""
    if index % 25:
        return example
    label = 0 if features is position else example.choices.index(min(example.choices))
    return dataclasses.replace(example, label=label)


def test_every_kind_is_asked_about_often(
    halves: tuple[list[Example], list[Example]],
) -> None:
    kinds = Counter(example.question_type for example in halves[0])
    assert set(kinds) == set(KINDS)
    assert min(kinds.values()) > 0.08 * sum(kinds.values())
