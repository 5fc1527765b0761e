"""What an evaluation gives: the figures of one protocol over one set of predictions."""

from __future__ import annotations

import math
import operator
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, reduce
from typing import TYPE_CHECKING, Any

from vqa.evaluation.predictions import Prediction

if TYPE_CHECKING:
    from vqa.evaluation.bootstrap import Interval

UNSPECIFIED = "unspecified"
"""The group of a question without a type, in data where others have one."""


@dataclass(frozen=True)
class EvaluationResult:
    """The figures of a run under one protocol, all on 0 to 100.

    Attributes:
        protocol: name and version.
        overall: mean of the questions' scores.
        per_answer_type, per_question_type: the mean in each group; empty where the data has no
            types.
        n: number of questions.
        unscored: the predictions as they came; `predictions` are the same, each with its score.
        scores: of every prediction.
        interval: of `overall`, by resampling images; None where it was not asked for or cannot be
            had.
        intervals: the same by group: {"per_answer_type": {name: Interval}, …}.
        policies: every choice that the protocol leaves open, spelt out.
        details: further figures of this protocol.
        notes: sentences for the reader: what was not computed, what was counted as wrong.
        digits: to how many decimals figures are written (2 is the official VQA tool's rounding).
    """

    protocol: str
    overall: float
    per_answer_type: dict[str, float]
    per_question_type: dict[str, float]
    n: int
    unscored: Sequence[Prediction] = field(repr=False)
    scores: Sequence[float] = field(repr=False)
    interval: Interval | None = None
    intervals: dict[str, dict[str, Interval]] = field(default_factory=dict)
    policies: dict[str, str] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    digits: int = 4

    @cached_property
    def predictions(self) -> list[Prediction]:
        """The predictions, each with its score; made when they are asked for."""
        pairs = zip(self.unscored, self.scores, strict=True)
        return [item.with_score(score) for item, score in pairs]

    @property
    def per_question(self) -> dict[str, float]:
        """Score by question id."""
        ids = (item.question_id for item in self.unscored)
        return dict(zip(ids, self.scores, strict=True))

    def to_json(self, *, per_question: bool = False) -> dict[str, Any]:
        """The object that `vqa score --json` prints and `result.json` holds, rounded to
        `digits`."""
        shown: dict[str, Any] = {
            "protocol": self.protocol,
            "overall": round(self.overall, self.digits),
            "per_answer_type": self._rounded(self.per_answer_type),
            "per_question_type": self._rounded(self.per_question_type),
            "n": self.n,
            "n_per_answer_type": group_counts([item.answer_type for item in self.unscored]),
            "n_per_question_type": group_counts([item.question_type for item in self.unscored]),
            "interval": self.interval and self.interval.to_json(),
            "intervals": {
                kind: {name: item.to_json() for name, item in found.items()}
                for kind, found in self.intervals.items()
            },
            "policies": self.policies,
            "details": self.details,
            "notes": self.notes,
        }
        if per_question:
            shown["per_question"] = self._rounded(self.per_question)
        return shown

    def _rounded(self, figures: dict[str, float]) -> dict[str, float]:
        return {name: round(value, self.digits) for name, value in figures.items()}


def mean(scores: Sequence[float]) -> float:
    """The mean, with an exactly rounded sum: the same in any order."""
    return math.fsum(scores) / len(scores)


def official_mean(accuracies: Sequence[float]) -> float:
    """100 times the mean of accuracies of 0 to 1 as the official VQA tool computes it: summed from
    left to right in double precision. Where a figure lies half-way between two roundings, this
    decides."""
    return 100 * reduce(operator.add, accuracies, 0.0) / len(accuracies)


def grouped(names: Sequence[str]) -> dict[str, list[int]]:
    """Positions by name, names in alphabetical order; empty where no question has a type."""
    groups: defaultdict[str, list[int]] = defaultdict(list)
    for position, name in enumerate(names):
        groups[name or UNSPECIFIED].append(position)
    return {} if set(groups) <= {UNSPECIFIED} else dict(sorted(groups.items()))


def group_counts(names: Sequence[str]) -> dict[str, int]:
    """How many positions `grouped` gives each name."""
    counts = Counter([name or UNSPECIFIED for name in names])
    return {} if set(counts) <= {UNSPECIFIED} else dict(sorted(counts.items()))
