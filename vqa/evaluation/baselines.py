"""How far one gets without looking: baselines that count the training answers, and need no network.

majority        the answer most often right in training; among choices the one most often right
question_only   the answers to the same question text, backed off to those of its type, then to all
choices_only    how often each choice was right when it was offered; multiple choice only

Counts are backed off by adding one pseudo-count that is shared out like the broader counts
(Dirichlet smoothing, MacKay and Bauman Peto 1995), so an unseen text falls back on its type, and an
unseen type on all questions. Where several choices are equally likely the protocol's own rule for
ties holds. A model that does not clearly beat these has learnt the questions, not the pictures.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from vqa.data.text import soft_scores
from vqa.errors import ResultError
from vqa.evaluation.multiple_choice import OutOfVocabulary
from vqa.evaluation.normalise import light
from vqa.evaluation.paired import paired
from vqa.evaluation.predictions import Prediction
from vqa.evaluation.protocols import score_predictions

Key = Callable[[Prediction], Hashable]
Guess = Callable[[Prediction], Prediction]
DIGITS = 12
"""Probabilities are rounded, so that equal counts tie."""


def score_baselines(
    training: Sequence[Prediction],
    scored: Sequence[Prediction],
    protocol: str,
    out_of_vocabulary: OutOfVocabulary = "mask",
) -> dict[str, Any]:
    """Fit every baseline on `training`, score it on the questions of `scored`, JSON-ready.

    Args:
        training: the questions of the training split with what is right; nothing said is read.
        scored: a model's scored predictions.
        protocol: what `scored` was scored under.
        out_of_vocabulary: as `score_predictions`.

    Returns:
        By baseline `overall`, `interval` and `model_gain` (the model's paired gain over it);
        `questions_seen` is the percentage of question texts that stand in the training split.

    Raises:
        ResultError: no training question has an answer.
    """
    found: dict[str, Any] = {}
    for name, guess in fit(training, choices=all(item.choices for item in scored)).items():
        said = [guess(item) for item in scored]
        result = score_predictions(said, protocol, out_of_vocabulary=out_of_vocabulary)
        found[name] = {
            "overall": round(result.overall, 4),
            "interval": result.interval and result.interval.to_json(),
            "model_gain": paired(scored, result.predictions),
        }
    texts = {light(item.question) for item in training}
    seen = sum(light(item.question) in texts for item in scored)
    return {"questions_seen": round(100 * seen / len(scored), 4), "baselines": found}


def fit(training: Sequence[Prediction], *, choices: bool) -> dict[str, Guess]:
    """Every baseline by name; `choices` says whether there are choices to pick from.

    Raises:
        ResultError: no training question has an answer.
    """
    majority = AnswerPrior(training, [])
    by_question = AnswerPrior(training, [_type, _text])
    if not majority.answers:
        raise ResultError(
            "no training question has an answer to count", fix="leave out --baselines"
        )
    found: dict[str, Guess] = {"majority": majority.guess, "question_only": by_question.guess}
    if choices:
        found["choices_only"] = ChoicePrior(training).guess
    return found


class AnswerPrior:
    """How likely each answer is, from ever narrower groups of the training questions.

    Args:
        training: questions with what is right.
        keys: name a question's group, from broad to narrow; all questions together come before.

    Attributes:
        answers: the weight of every answer over all questions.
    """

    def __init__(self, training: Iterable[Prediction], keys: Sequence[Key]) -> None:
        self._keys: list[Key] = [lambda _: None, *keys]
        self._levels: list[dict[Hashable, Counter[str]]] = [
            defaultdict(Counter) for _ in self._keys
        ]
        for item in training:
            weights = _right(item)
            for key, level in zip(self._keys, self._levels, strict=True):
                level[key(item)].update(weights)
        self._totals = [
            {name: sum(counts.values()) for name, counts in level.items()} for level in self._levels
        ]
        self._best: dict[tuple[Hashable, ...], str | None] = {}
        self.answers: Mapping[str, float] = self._levels[0].get(None, Counter())

    def probability(self, item: Prediction, answer: str) -> float:
        """The probability of `answer` to a question like `item`."""
        return self._probability(self._names(item), answer)

    def best(self, item: Prediction) -> str | None:
        """The likeliest answer; of equals the first in the alphabet."""
        return self._best_of(self._names(item))

    def _names(self, item: Prediction) -> tuple[Hashable, ...]:
        return tuple(key(item) for key in self._keys)

    def _probability(self, names: Sequence[Hashable], answer: str) -> float:
        found = 0.0
        for name, level, totals in zip(names, self._levels, self._totals, strict=False):
            if name in level:
                found = (level[name][answer] + found) / (totals[name] + 1)
        return round(found, DIGITS)

    def _best_of(self, names: tuple[Hashable, ...]) -> str | None:
        """The pseudo-count ranks answers unseen in a group like the broader group does, so only one
        that was given there, or the best of the broader group, can be the best."""
        if names and names not in self._best:
            broader = self._best_of(names[:-1])
            given = self._levels[len(names) - 1].get(names[-1], Counter())
            candidates = {*given, *([] if broader is None else [broader])}
            ranked = sorted(candidates, key=lambda one: (-self._probability(names, one), one))
            self._best[names] = ranked[0] if ranked else None
        return self._best.get(names)

    def guess(self, item: Prediction) -> Prediction:
        """The likeliest answer, or the likeliest of the question's choices."""
        if not item.choices:
            return said(item, self.best(item), [])
        return pick(item, [self.probability(item, choice.strip()) for choice in item.choices])


class ChoicePrior:
    """How often a choice is right when it is offered, whatever the question."""

    def __init__(self, training: Iterable[Prediction]) -> None:
        self._offered: Counter[str] = Counter()
        self._right: Counter[str] = Counter()
        for item in training:
            if item.label >= 0:
                self._offered.update(light(choice) for choice in item.choices)
                self._right[light(item.choices[item.label])] += 1
        self._base = self._right.total() / max(1, self._offered.total())

    def guess(self, item: Prediction) -> Prediction:
        """The choice most often right when offered; an unseen one counts as an average one."""
        texts = [light(choice) for choice in item.choices]
        rates = [(self._right[one] + self._base) / (self._offered[one] + 1) for one in texts]
        return pick(item, [round(rate, DIGITS) for rate in rates])


def pick(item: Prediction, scores: Sequence[float]) -> Prediction:
    """The question with its choices scored; of equals the first is named as the answer."""
    best = max(range(len(scores)), key=lambda at: scores[at])
    return said(item, item.choices[best], scores)


def said(item: Prediction, answer: str | None, scores: Sequence[float]) -> Prediction:
    """The question with an answer and no confidence."""
    return replace(
        item, answer=answer, choice_scores=list(scores), top=[], confidence=None, score=None
    )


def _right(item: Prediction) -> dict[str, Any]:
    """The right answers with their weights: the right choice, or what people said."""
    if item.choices and item.label >= 0:
        return {item.choices[item.label].strip(): 1.0}
    return soft_scores(item.answers)


def _type(item: Prediction) -> Hashable:
    return item.question_type


def _text(item: Prediction) -> Hashable:
    return item.question_type, light(item.question)
