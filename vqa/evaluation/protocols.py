"""The protocols: a name with a version, and how it scores predictions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from statistics import fmean, harmonic_mean
from types import MappingProxyType
from typing import Any

import numpy as np

from vqa.errors import InputError, ResultError
from vqa.evaluation import choice_statistics
from vqa.evaluation.accuracy import (
    BEFORE_2021,
    SINCE_2021,
    Dialect,
    VQAAccuracy,
    exact_score,
    require_answers,
)
from vqa.evaluation.bootstrap import RESAMPLES, Interval, codes, image_sums, mean_interval
from vqa.evaluation.multiple_choice import (
    OUT_OF_VOCABULARY,
    SOFT,
    OutOfVocabulary,
    choice_score,
    is_tie,
    policies,
    said_texts,
)
from vqa.evaluation.predictions import Prediction, check_unique
from vqa.evaluation.result import EvaluationResult, grouped, mean, official_mean
from vqa.evaluation.text_scores import nearest, similarity, token_f1

GROUP_RESAMPLES = 2_000
"""At most so many resamples a group: there may be dozens of groups."""


@dataclass(frozen=True, slots=True)
class Scored:
    """What a protocol gives: one score a prediction, 0 to 100, and what must be said beside it.

    `accuracies` are the same on 0 to 1 where an official tool's own arithmetic is to be followed to
    the last bit.
    """

    scores: list[float]
    accuracies: list[float] | None = None
    policies: dict[str, str] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    digits: int = 4


Scorer = Callable[[Sequence[Prediction], OutOfVocabulary], Scored]


def score_predictions(
    predictions: Sequence[Prediction],
    protocol_name: str,
    *,
    out_of_vocabulary: OutOfVocabulary = "mask",
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> EvaluationResult:
    """Score every prediction under a protocol and sum up.

    Args:
        predictions: one a question, with its ground truth.
        protocol_name: one of `PROTOCOLS`.
        out_of_vocabulary: policy of multiple choice.
        resamples: of the bootstrap interval; 0 leaves the intervals out.
        seed: of the bootstrap.

    Raises:
        InputError: no such protocol or policy.
        ResultError: no predictions, a repeated id, or a question that this protocol cannot score.
    """
    scorer = _scorer(protocol_name)
    if out_of_vocabulary not in OUT_OF_VOCABULARY:
        raise InputError(
            f"no policy {out_of_vocabulary!r}", fix=f"one of {', '.join(OUT_OF_VOCABULARY)}"
        )
    if not predictions:
        raise ResultError("there is no question to score")
    check_unique(predictions)
    return summarise(
        predictions, protocol_name, scorer(predictions, out_of_vocabulary), resamples, seed
    )


def protocol_for(predictions: Sequence[Prediction]) -> str:
    """The protocol that fits the ground truth: multiple choice where every question has choices,
    VQA accuracy where every question has ten answers, else exact match."""
    if predictions and all(item.choices for item in predictions):
        return "multiple-choice/1"
    if predictions and all(len(item.answers) == 10 for item in predictions):
        return "vqa-accuracy/since-2021"
    return "exact/1"


def summarise(
    predictions: Sequence[Prediction], protocol: str, scored: Scored, resamples: int, seed: int
) -> EvaluationResult:
    """Take means and intervals over all and over groups."""
    by_answer = grouped([item.answer_type for item in predictions])
    by_question = grouped([item.question_type for item in predictions])
    interval, intervals = _intervals(
        predictions, scored.scores, by_answer, by_question, resamples, seed
    )
    return EvaluationResult(
        protocol=protocol,
        overall=_mean(scored, range(len(predictions))),
        per_answer_type={name: _mean(scored, rows) for name, rows in by_answer.items()},
        per_question_type={name: _mean(scored, rows) for name, rows in by_question.items()},
        n=len(predictions),
        unscored=predictions,
        scores=scored.scores,
        interval=interval,
        intervals=intervals,
        policies=scored.policies,
        details=scored.details,
        notes=scored.notes,
        digits=scored.digits,
    )


def _mean(scored: Scored, rows: Sequence[int]) -> float:
    if scored.accuracies is not None:
        return official_mean([scored.accuracies[row] for row in rows])
    return mean([scored.scores[row] for row in rows])


def check_protocol(name: str) -> None:
    """Refuse a protocol that does not exist.

    Raises:
        InputError: naming those that do.
    """
    _scorer(name)


def _scorer(name: str) -> Scorer:
    if name not in PROTOCOLS:
        raise InputError(f"no protocol {name!r}", fix=f"one of {', '.join(PROTOCOLS)}")
    return PROTOCOLS[name]


def _intervals(
    predictions: Sequence[Prediction],
    scores: Sequence[float],
    by_answer: Mapping[str, list[int]],
    by_question: Mapping[str, list[int]],
    resamples: int,
    seed: int,
) -> tuple[Interval | None, dict[str, dict[str, Interval]]]:
    if not resamples:
        return None, {}
    figures = np.array(scores, dtype=np.float64)
    images = codes(item.image_id for item in predictions)

    def interval(rows: Sequence[int] | slice, times: int) -> Interval | None:
        data = image_sums(figures[rows], images[rows], int(images.max()) + 1)
        return mean_interval(data, resamples=times, seed=seed)

    def by_group(groups: Mapping[str, list[int]]) -> dict[str, Interval]:
        times = min(resamples, GROUP_RESAMPLES)
        found = {name: interval(rows, times) for name, rows in groups.items()}
        return {name: item for name, item in found.items() if item is not None}

    kinds = {"per_answer_type": by_group(by_answer), "per_question_type": by_group(by_question)}
    return interval(slice(None), resamples), kinds


def _vqa_accuracy(dialect: Dialect) -> Scorer:
    def score(predictions: Sequence[Prediction], policy: OutOfVocabulary) -> Scored:
        require_answers(predictions, f"vqa-accuracy/{dialect.name}")
        accuracy = VQAAccuracy(dialect)
        stated = {"other_answers": "by position", "rounding": "2 decimals, as the official tool"}
        details = {}
        if any(item.choice_scores for item in predictions):
            stated |= {"choices": "the best-scored one is the answer"} | policies(policy, SOFT)
            details["ties"] = sum(map(is_tie, predictions))
        accuracies = [_soft(accuracy, item, policy) for item in predictions]
        scores = [round(100 * value, 10) for value in accuracies]
        notes = unscorable(predictions, f"vqa-accuracy/{dialect.name}")
        return Scored(scores, accuracies, stated, details, notes, digits=2)

    year = dialect.name.replace("-", " ")
    score.__doc__ = f"""How many of ten people gave the answer, three counting whole; the official tool's {year}.

    Paper: Antol et al. 2015, VQA: visual question answering.
    """
    return score


def unscorable(predictions: Sequence[Prediction], protocol: str) -> list[str]:
    """A note where questions have a single answer, of which VQA accuracy makes nothing."""
    lone = sum(len(item.answers) == 1 for item in predictions) if protocol in DIALECTS else 0
    if not lone:
        return []
    return [f"{lone} questions have a single answer and score 0 by this rule; exact/1 suits them"]


def _soft(accuracy: VQAAccuracy, item: Prediction, policy: OutOfVocabulary) -> float:
    """The accuracy of what was said, 0 to 1; the mean over choices that tie."""
    if not item.choice_scores:
        return accuracy.accuracy(item.answer, item.answers)
    said = said_texts(item, policy)
    return mean([accuracy.accuracy(text, item.answers) for text in said]) if said else 0.0


def _exact(predictions: Sequence[Prediction], _: OutOfVocabulary) -> Scored:
    """Whether the answer is one of the right ones, blanks at the ends and case apart."""
    require_answers(predictions, "exact/1")
    stated = {"normalisation": "white space at both ends stripped, case folded; nothing else"}
    scores = [exact_score(item.answer, item.answers) for item in predictions]
    return Scored(scores, policies=stated, notes=_unsaid(predictions))


def _anls(predictions: Sequence[Prediction], _: OutOfVocabulary) -> Scored:
    """How near the answer is to a right one, letter by letter; less than half-way is wrong.

    Paper: Biten et al. 2019, Scene text visual question answering (ANLS, threshold 0.5).
    """
    require_answers(predictions, "anls/1")
    stated = {
        "normalisation": "lower case, blanks at the ends and runs of them apart",
        "threshold": "a similarity below 0.5 scores 0; 0.5 counts, as in the challenge's script",
    }
    scores = [nearest(item.answer, item.answers, similarity) for item in predictions]
    return Scored(scores, policies=stated, notes=_unsaid(predictions))


def _token_f1(predictions: Sequence[Prediction], _: OutOfVocabulary) -> Scored:
    """How many words the answer and a right one have in common: F1, of several right answers the best.

    Paper: Rajpurkar et al. 2016, SQuAD: 100,000+ questions for machine comprehension of text.
    """
    require_answers(predictions, "token-f1/1")
    stated = {"normalisation": "lower case, no punctuation, no a, an, the"}
    scores = [nearest(item.answer, item.answers, token_f1) for item in predictions]
    return Scored(scores, policies=stated, notes=_unsaid(predictions))


def _tdiuc(predictions: Sequence[Prediction], policy: OutOfVocabulary) -> Scored:
    """Exact match, and the means over the kinds of question, however many questions each has.

    Paper: Kafle and Kanan 2017, An analysis of visual question answering algorithms.
    """
    scored = _exact(predictions, policy)
    by_type = grouped([item.question_type for item in predictions])
    if not by_type:
        return replace(scored, notes=[*scored.notes, "not computed: questions have no types"])
    means = [mean([scored.scores[row] for row in rows]) for rows in by_type.values()]
    return replace(
        scored,
        details={
            "arithmetic_mean_per_type": round(fmean(means), scored.digits),
            "harmonic_mean_per_type": round(harmonic_mean(means), scored.digits),
        },
    )


def _unsaid(predictions: Sequence[Prediction]) -> list[str]:
    """A note where choices were scored but nothing was said that an open-ended protocol could read."""
    count = sum(item.answer is None and bool(item.choice_scores) for item in predictions)
    if not count:
        return []
    return [
        f"{count} questions have choice_scores but no answer and count as wrong; "
        "multiple-choice/1 reads the scores"
    ]


def _multiple_choice(predictions: Sequence[Prediction], policy: OutOfVocabulary) -> Scored:
    """Whether the best-scored choice is the right one; of those that tie, the share that is."""
    scores = [choice_score(item, policy) for item in predictions]
    details = choice_statistics.describe(predictions)
    covered = details["coverage"]
    notes = []
    if covered and covered["right_answers"] < 100:
        notes.append(
            f"the vocabulary can say {covered['right_answers']:.1f} % of the right choices"
        )
    if details["ties"]:
        notes.append(f"{details['ties']} questions tie and score their chance")
    return Scored(scores, policies=policies(policy), details=details, notes=notes)


def _gqa(predictions: Sequence[Prediction], _: OutOfVocabulary) -> Scored:
    """Whether the answer is the right one, letter by letter.

    Paper: Hudson and Manning 2019, GQA: a new dataset for real-world visual reasoning.
    """
    require_answers(predictions, "gqa/1")
    scores = [
        100.0 if item.answer is not None and item.answer in item.answers else 0.0
        for item in predictions
    ]
    missing = "consistency, validity, plausibility and distribution need GQA's question file"
    return Scored(
        scores,
        policies={"normalisation": "none: answers are compared as they are"},
        notes=[*_unsaid(predictions), f"not computed: {missing}"],
    )


def _visual7w(predictions: Sequence[Prediction], policy: OutOfVocabulary) -> Scored:
    """Whether the best-scored of four choices is the right one, case apart.

    Paper: Zhu et al. 2016, Visual7W: grounded question answering in images.
    """
    scores = [_visual7w_score(item, policy) for item in predictions]
    ties = sum(is_tie(item) for item in predictions if item.choices)
    stated = {
        "normalisation": "lower case, nothing else",
        "ties": "expected: the share of the tied choices that is right (officially the first)",
        "out_of_vocabulary": policies(policy)["out_of_vocabulary"],
    }
    return Scored(scores, policies=stated, details={"ties": ties})


def _visual7w_score(item: Prediction, policy: OutOfVocabulary) -> float:
    if item.choice_scores:
        return choice_score(item, policy)
    right = right_text(item)
    return 100.0 if item.answer is not None and item.answer.lower() == right.lower() else 0.0


def right_text(item: Prediction) -> str:
    """The right choice where it is known, else the first right answer.

    Raises:
        ResultError: neither is known.
    """
    right = item.choices[item.label] if item.label >= 0 else next(iter(item.answers), None)
    if right is None:
        raise ResultError("no right answer is known", where=f"question {item.question_id}")
    return right


PROTOCOLS: Mapping[str, Scorer] = MappingProxyType(
    {
        "vqa-accuracy/since-2021": _vqa_accuracy(SINCE_2021),
        "vqa-accuracy/before-2021": _vqa_accuracy(BEFORE_2021),
        "exact/1": _exact,
        "multiple-choice/1": _multiple_choice,
        "anls/1": _anls,
        "token-f1/1": _token_f1,
        "tdiuc/1": _tdiuc,
        "gqa/1": _gqa,
        "visual7w/1": _visual7w,
    }
)
"""Every protocol by name."""

DIALECTS: Mapping[str, Dialect] = MappingProxyType(
    {f"vqa-accuracy/{dialect.name}": dialect for dialect in (SINCE_2021, BEFORE_2021)}
)
"""The dialects of VQA accuracy by protocol name."""

READ_CHOICES = frozenset({"multiple-choice/1", "visual7w/1", *DIALECTS})
"""Those that read what was made of the choices; the others read the answer's text alone."""


def choice_scorer(protocol: str, policy: OutOfVocabulary) -> Callable[[Prediction], float]:
    """How a protocol of `READ_CHOICES` scores what was made of one question's choices, 0 to 100."""
    if protocol not in DIALECTS:
        return partial(choice_score, policy=policy)
    accuracy = VQAAccuracy(DIALECTS[protocol])
    return lambda item: 100 * _soft(accuracy, item, policy)
