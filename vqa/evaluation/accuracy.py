"""VQA accuracy in its two official behaviours, and exact match.

VQA accuracy: each of the human answers in turn is set aside and the prediction scores min(1,
matches among the others / 3); the question's score is the mean. With k matches among n answers that
is

    (k · min(1, (k − 1)/3) + (n − k) · min(1, k/3)) / n          0, 0.3, 0.6, 0.9, 1, … for n = 10

"The others" are told by position here. The official tool tells them by comparing whole answer
records, so records that are equal (no `answer_id`) all drop out together and ten matches can score
0; on files with answer ids both ways give the same figures. A question with a single answer has no
others and scores 0.

Sources: Antol et al. 2015, VQA; the official evaluator at github.com/GT-Vision-Lab/VQA.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from vqa.errors import ResultError
from vqa.evaluation.normalise import (
    PUNCTUATION_STEPS,
    STRIP,
    WORD_STEPS,
    Normaliser,
    Step,
    light,
    strip_blanks,
)
from vqa.evaluation.predictions import Prediction

FULL = STRIP + PUNCTUATION_STEPS + WORD_STEPS


@dataclass(frozen=True, slots=True)
class Dialect:
    """What happens to the prediction and to the human answers before they are compared.

    Attributes:
        prediction_agreed, answers_agreed: the steps where all human answers are the same string.
        prediction_split, answers_split: the steps where they are not.
        strips_first: whether blanks at the ends go before it is decided if the answers are all the
            same.
    """

    name: str
    prediction_agreed: tuple[Step, ...]
    prediction_split: tuple[Step, ...]
    answers_agreed: tuple[Step, ...]
    answers_split: tuple[Step, ...]
    strips_first: bool

    def agreed(self, answers: Sequence[str]) -> bool:
        """Whether the human answers count as all the same."""
        if answers.count(answers[0]) == len(answers):
            return True
        if not self.strips_first:
            return False
        first = strip_blanks(answers[0])
        return all(strip_blanks(answer) == first for answer in answers)


SINCE_2021 = Dialect("since-2021", STRIP, FULL, STRIP, FULL, strips_first=True)
"""The official tool from 2021-03-11 on: where all answers agree, `Yes` against ten `yes` scores
0."""

BEFORE_2021 = Dialect("before-2021", FULL, FULL, (), PUNCTUATION_STEPS, strips_first=False)
"""The tool before: the prediction is always normalised, the answers only lose punctuation, so a
human `two` or `the dog` can never be matched."""


class VQAAccuracy:
    """Scores questions under one dialect; keep one for a whole file, it remembers normalised
    strings."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._agreed = Normaliser(dialect.prediction_agreed), Normaliser(dialect.answers_agreed)
        self._split = Normaliser(dialect.prediction_split), Normaliser(dialect.answers_split)

    def score(self, answer: str | None, answers: Sequence[str]) -> float:
        """The score of `answer` against the human `answers`, 0 to 100."""
        return round(100 * self.accuracy(answer, answers), 10)

    def accuracy(self, answer: str | None, answers: Sequence[str]) -> float:
        """The same on 0 to 1, as the official tool computes it; a missing answer scores 0."""
        if answer is None:
            return 0.0
        agreed = self._dialect.agreed(answers)
        for_prediction, for_answers = self._agreed if agreed else self._split
        said = for_prediction[answer]
        people = [for_answers[human] for human in answers]
        return soft_accuracy(tuple([human == said for human in people])) if said in people else 0.0


@lru_cache(maxsize=4096)
def soft_accuracy(matches: tuple[bool, ...]) -> float:
    """VQA accuracy, 0 to 1, where `matches` says of each human answer whether the prediction equals
    it.

    Summed in order in double precision like the official tool (three matches can come to
    0.8999999999999998).
    """
    total = 0.0
    for match in matches:
        total += min(1.0, (sum(matches) - match) / 3)
    return total / len(matches)


def exact_score(answer: str | None, answers: Sequence[str]) -> float:
    """100 where `answer` is among `answers` after `light` (ends stripped, case folded), else 0."""
    if answer is None:
        return 0.0
    said = light(answer)
    return 100.0 if any(light(accepted) == said for accepted in answers) else 0.0


def require_answers(predictions: Sequence[Prediction], protocol: str) -> None:
    """Refuse questions whose answers are withheld.

    Raises:
        ResultError: naming the first question.
    """
    for item in predictions:
        if not item.answers:
            raise ResultError(
                f"no human answer to compare with, {protocol} needs one",
                where=f"question {item.question_id}",
                fix="score it where the answers are known",
            )
