"""Whether a model's confidence means what it says, and whether it does more than repeat the likely
answer.

A calibrated model that says 70 % scores 70 on average. With soft scores (VQA accuracy) "right" is
the score. Source: Guo et al. 2017, On Calibration of Modern Neural Networks (expected calibration
error).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from vqa.errors import ResultError
from vqa.evaluation.bootstrap import Floats, codes, image_sums
from vqa.evaluation.normalise import light
from vqa.evaluation.predictions import Prediction

BINS = 15
COVERAGES = (10, 20, 30, 40, 50, 60, 70, 80, 90, 100)


class Bin(NamedTuple):
    """Questions whose confidence lies in (low, high]; means in percent."""

    low: float
    high: float
    confidence: float
    score: float
    n: int


def calibration(predictions: Sequence[Prediction], bins: int = BINS) -> dict[str, Any] | None:
    """Calibration of scored predictions, JSON-ready; None where no prediction has a confidence.

    Returns:
        `ece` (percent), `reliability` (one object a bin that is not empty), `coverage` (see
        `accuracy_at_coverage`), `mean_confidence`, `mean_score`, `n`, `without_confidence`.

    Raises:
        ResultError: a prediction has no score.
    """
    confidence, scores = _vectors(predictions)
    if not len(scores):
        return None
    curve = reliability(confidence, scores, bins)
    return {
        "ece": round(expected_calibration_error(curve), 4),
        "mean_confidence": round(100 * float(confidence.mean()), 4),
        "mean_score": round(float(scores.mean()), 4),
        "reliability": [_rounded(one) for one in curve],
        "coverage": accuracy_at_coverage(confidence, scores),
        "n": len(scores),
        "without_confidence": len(predictions) - len(scores),
    }


def reliability(confidence: Floats, scores: Floats, bins: int = BINS) -> list[Bin]:
    """Mean confidence and score in bins of equal width; `confidence` 0 to 1, `scores` 0 to 100,
    [questions]."""
    place = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    counts = np.bincount(place, minlength=bins)
    said = np.bincount(place, weights=100 * confidence, minlength=bins)
    right = np.bincount(place, weights=scores, minlength=bins)
    return [
        Bin(
            at / bins,
            (at + 1) / bins,
            said[at] / counts[at],
            right[at] / counts[at],
            int(counts[at]),
        )
        for at in np.flatnonzero(counts).tolist()
    ]


def expected_calibration_error(curve: Sequence[Bin]) -> float:
    """Σ n_b |confidence_b − score_b| / Σ n_b, in percent."""
    total = sum(one.n for one in curve)
    return float(sum(one.n * abs(one.confidence - one.score) for one in curve) / total)


def accuracy_at_coverage(confidence: Floats, scores: Floats) -> list[dict[str, float]]:
    """The mean score of the most confident 10, 20 … 100 percent of the questions.

    Where the boundary falls among equally confident questions, they enter in part, so order decides
    nothing.
    """
    levels, place = np.unique(-confidence, return_inverse=True)
    counts = np.bincount(place, minlength=len(levels)).astype(np.float64)
    sums = np.bincount(place, weights=scores, minlength=len(levels))
    reached = np.concatenate([[0.0], np.cumsum(counts)])
    gained = np.concatenate([[0.0], np.cumsum(sums)])
    found = []
    for coverage in COVERAGES:
        wanted = len(scores) * coverage / 100
        score = float(np.interp(wanted, reached, gained)) / wanted
        found.append({"coverage": coverage, "score": round(score, 4)})
    return found


def prior_gap(predictions: Sequence[Prediction]) -> dict[str, Any] | None:
    """Scores on questions with a common and with a rare right answer for their type.

    An answer is common where it is the most frequent right answer among the other questions of its
    type (the question itself is left out). A model that repeats the prior scores high there and low
    elsewhere: a large `gap` says that it looks little. None where one of the two groups is empty.

    Raises:
        ResultError: a prediction has no score.
    """
    groups: dict[bool, list[float]] = {True: [], False: []}
    for item, usual in zip(predictions, common_answers(predictions), strict=True):
        if usual is not None:
            groups[usual].append(_score(item))
    if not groups[True] or not groups[False]:
        return None
    common, rare = (float(np.mean(groups[kind])) for kind in (True, False))
    return {
        "common": round(common, 4),
        "rare": round(rare, 4),
        "gap": round(common - rare, 4),
        "n_common": len(groups[True]),
        "n_rare": len(groups[False]),
    }


def prior_gap_interval(predictions: Sequence[Prediction]) -> dict[str, float] | None:
    """The 95 % interval of `prior_gap`'s gap, allowing for images as clusters.

    By linearisation of the difference of two ratios (Cochran 1977, section 6.3): each image weighs
    in with its residual (s − θ n) / N of the common questions less that of the rare ones. None
    where there is no gap, or fewer than two images.
    """
    kinds = common_answers(predictions)
    kept = [at for at, usual in enumerate(kinds) if usual is not None]
    usual = np.array([bool(kinds[at]) for at in kept])
    images = codes(predictions[at].image_id for at in kept)
    if not usual.any() or usual.all() or images.max() < 1:
        return None
    scores = np.array([_score(predictions[at]) for at in kept], dtype=np.float64)
    count = int(images.max()) + 1
    means, residuals = [], np.zeros(count)
    for kind, sign in ((usual, 1), (~usual, -1)):
        data = image_sums(scores[kind], images[kind], count)
        means.append(data.sums.sum() / data.counts.sum())
        residuals += sign * (data.sums - means[-1] * data.counts) / data.counts.sum()
    reach = 1.96 * float(np.sqrt(count / (count - 1) * np.sum(residuals**2)))
    gap = float(means[0] - means[1])
    return {"low": round(gap - reach, 4), "high": round(gap + reach, 4)}


def common_answers(predictions: Sequence[Prediction]) -> list[bool | None]:
    """Whether each question's right answer is the usual one among the other questions of its type;
    None where it is not known."""
    answers = [_right_answer(item) for item in predictions]
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for item, answer in zip(predictions, answers, strict=True):
        if answer is not None:
            counts[item.question_type][answer] += 1
    return [
        None if answer is None else _is_common(answer, counts[item.question_type])
        for item, answer in zip(predictions, answers, strict=True)
    ]


def _is_common(answer: str, counts: Counter[str]) -> bool:
    others = counts[answer] - 1
    rival = max((count for text, count in counts.most_common(2) if text != answer), default=0)
    return others > 0 and others >= rival


def _right_answer(item: Prediction) -> str | None:
    """The right choice, or the most frequent human answer (of equals the first)."""
    if item.choices and item.label >= 0:
        return light(item.choices[item.label])
    counts = Counter(light(answer) for answer in item.answers)
    return counts.most_common(1)[0][0] if counts else None


def _vectors(predictions: Sequence[Prediction]) -> tuple[Floats, Floats]:
    pairs = [(item.confidence, _score(item)) for item in predictions if item.confidence is not None]
    table = np.array(pairs, dtype=np.float64).reshape(-1, 2)
    return table[:, 0], table[:, 1]


def _score(item: Prediction) -> float:
    if item.score is None:
        raise ResultError("has no score yet", where=f"question {item.question_id}")
    return item.score


def _rounded(one: Bin) -> dict[str, float]:
    return {name: round(float(value), 4) for name, value in one._asdict().items()}
