"""Questions that one variant gets right and another wrong, of kept scores: quick for any number of questions."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from vqa.errors import ResultError
from vqa.evaluation.bootstrap import Floats, Ints
from vqa.evaluation.kept import Held
from vqa.evaluation.predictions import Prediction

Side = Literal["a", "b"]
RIGHT = 50.0
"""A mean score from here on is right, as in the lists of `compare_runs`."""

BLOCK = 1 << 24


@dataclass(frozen=True)
class Given:
    """An answer with the number of runs that gave it; None where none was given."""

    answer: str | None
    runs: int


@dataclass(frozen=True)
class Difference:
    """One question on which the two differ.

    Attributes:
        question: as it was asked; no answer in it.
        a_score, b_score: means over the runs of each.
        a_answers, b_answers: most frequent first.
    """

    question: Prediction
    a_score: float
    b_score: float
    a_answers: list[Given]
    b_answers: list[Given]


class Disagreement:
    """Two variants, each a run or several that differ in their seed, on the same questions.

    Attributes:
        only_a, only_b: places of the questions that only one gets right, the widest apart first.

    Raises:
        ResultError: they are not of the same questions.
    """

    def __init__(self, a: Sequence[Held], b: Sequence[Held]) -> None:
        if len({one.questions for one in (*a, *b)}) != 1:
            raise ResultError("the runs are not of the same questions")
        self._a, self._b, self.questions = a, b, a[0].questions
        left, right = (np.mean([one.scores for one in side], axis=0) for side in (a, b))
        self._scores: tuple[Floats, Floats] = left, right
        self.only_a = _widest(left, right)
        self.only_b = _widest(right, left)
        self.both = int(((left >= RIGHT) & (right >= RIGHT)).sum())
        self.neither = int(((left < RIGHT) & (right < RIGHT)).sum())

    def places(self, side: Side) -> Ints:
        """Of the questions that only this one gets right."""
        return self.only_a if side == "a" else self.only_b

    def page(self, lines: Lines, side: Side, start: int, count: int) -> list[Difference]:
        """Some of the questions that only one gets right.

        Args:
            lines: of `questions`.
        """
        return [self._one(lines, at) for at in self.places(side)[start : start + count].tolist()]

    def _one(self, lines: Lines, at: int) -> Difference:
        left, right = self._scores
        question = Prediction.from_json(json.loads(lines.read(at)), self.questions.name)
        return Difference(
            question, float(left[at]), float(right[at]), _given(self._a, at), _given(self._b, at)
        )


def _widest(high: Floats, low: Floats) -> Ints:
    found = np.flatnonzero((high >= RIGHT) & (low < RIGHT))
    return found[np.argsort(low[found] - high[found], kind="stable")]


def _given(runs: Sequence[Held], at: int) -> list[Given]:
    codes = ((one, int(one.codes[at])) for one in runs)
    answers = Counter(one.answers[code] if code >= 0 else None for one, code in codes)
    return [Given(answer, runs) for answer, runs in answers.most_common()]


class Lines:
    """A text file's lines by their places."""

    def __init__(self, path: Path) -> None:
        self._path = path
        ends, offset = [np.zeros(1, dtype=np.int64)], 0
        with path.open("rb") as file:
            while block := file.read(BLOCK):
                found = np.flatnonzero(np.frombuffer(block, dtype=np.uint8) == ord("\n"))
                ends.append(found + offset + 1)
                offset += len(block)
        self._starts = np.concatenate(ends)

    def __len__(self) -> int:
        return len(self._starts) - 1

    def read(self, at: int) -> bytes:
        """A line."""
        with self._path.open("rb") as file:
            file.seek(self._starts[at])
            return file.readline()
