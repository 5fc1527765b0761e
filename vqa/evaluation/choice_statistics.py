"""What a multiple-choice figure has to be read against: chance, majority, coverage and position
bias."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from vqa.evaluation.bootstrap import Floats
from vqa.evaluation.multiple_choice import (
    chosen_positions,
    is_tie,
    right_positions,
    sayable,
)
from vqa.evaluation.predictions import Prediction

NOTHING = 1e-9
"""A variance that is so small a part of the largest one is rounding."""


def describe(predictions: Sequence[Prediction]) -> dict[str, Any]:
    """Every statistic of this module, JSON-ready, percentages on 0 to 100."""
    sizes = Counter(len(item.choices) for item in predictions)
    return {
        "choices_per_question": {str(size): sizes[size] for size in sorted(sizes)},
        "ties": sum(is_tie(item) for item in predictions),
        "chance": _percent(chance(predictions)),
        "coverage": coverage(predictions),
        "majority_position": majority_position(predictions),
        "majority_answer": majority_answer(predictions),
        "position_bias": position_bias(predictions),
    }


def chance(predictions: Sequence[Prediction]) -> float:
    """The share that blind guessing gets right: the mean of right choices over choices."""
    return float(np.mean([len(right_positions(item)) / len(item.choices) for item in predictions]))


def coverage(predictions: Sequence[Prediction]) -> dict[str, Any] | None:
    """How much the model's vocabulary can say; None where no scores of choices are known.

    `right_answers`: percent of questions whose right choice it can say, the highest accuracy within
    reach; `choices`: percent of all choices; `without_any`: questions in which it can say none.
    """
    scored = [item for item in predictions if item.choice_scores]
    if not scored:
        return None
    can = [sayable(item) for item in scored]
    right = [
        any(can[at][place] for place in right_positions(item)) for at, item in enumerate(scored)
    ]
    flat = [one for flags in can for one in flags]
    return {
        "right_answers": _percent(np.mean(right)),
        "choices": _percent(np.mean(flat)),
        "without_any": sum(not any(flags) for flags in can),
    }


def majority_position(predictions: Sequence[Prediction]) -> dict[str, Any]:
    """The position that is right most often, and the accuracy of always choosing it."""
    counts: Counter[int] = Counter()
    for item in predictions:
        counts.update(right_positions(item))
    position, hits = min(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    return {"position": position + 1, "accuracy": _percent(hits / len(predictions))}


def majority_answer(predictions: Sequence[Prediction]) -> dict[str, Any]:
    """The accuracy of choosing what is most often right in the *other* questions; ties score their
    chance.

    The question's own answer is left out of the counts, else rare answers would give themselves
    away.
    """
    texts = [{item.choices[at] for at in right_positions(item)} for item in predictions]
    counts = Counter(text for found in texts for text in found)
    top = max(counts, key=lambda text: counts[text])
    scores = [
        _majority_score(item, own, counts) for item, own in zip(predictions, texts, strict=True)
    ]
    return {"answer": top, "accuracy": _percent(np.mean(scores))}


def position_bias(predictions: Sequence[Prediction]) -> dict[str, Any]:
    """How often each position is chosen and right, and whether errors lean towards positions.

    `right_p`: are the right answers spread evenly over the positions (chi-square)?
    `chosen_p`: a model without a leaning that errs chooses any wrong position alike, so among its
    errors the choices of each position are compared with that expectation. The covariance is that
    of independent draws, each over its own question's wrong positions, so questions of different N
    mix; errors on one image are taken as independent. Both p are None where nothing can be tested.
    """
    width = max(len(item.choices) for item in predictions)
    chosen, right = np.zeros(width), np.zeros(width)
    errors: list[tuple[Floats, Floats]] = []
    spread: list[tuple[Floats, Floats]] = []
    for item in predictions:
        truth, said = right_positions(item), chosen_positions(item)
        is_right, is_chosen = _share(truth, width), _share(said, width)
        chosen, right = chosen + is_chosen, right + is_right
        spread.append((is_right, _share(range(len(item.choices)), width)))
        wrong = [at for at in range(len(item.choices)) if at not in truth]
        if said and not set(said) & set(truth) and len(wrong) > 1:
            errors.append((is_chosen, _share(wrong, width)))
    return {
        "chosen": [round(float(value), 2) for value in chosen],
        "right": [round(float(value), 2) for value in right],
        "chosen_p": _uneven_p(errors),
        "right_p": _uneven_p(spread),
    }


def _majority_score(item: Prediction, own: set[str], counts: Counter[str]) -> float:
    others = [counts[choice] - (choice in own) for choice in item.choices]
    best = [at for at, count in enumerate(others) if count == max(others)]
    return len(set(best) & set(right_positions(item))) / len(best)


def _share(positions: Sequence[int] | range, width: int) -> Floats:
    """1 shared out evenly over `positions`, 0 elsewhere; [width]."""
    shares = np.zeros(width)
    if len(positions):
        shares[list(positions)] = 1 / len(positions)
    return shares


def _uneven_p(draws: Sequence[tuple[Floats, Floats]]) -> float | None:
    """p of the quadratic form (O − E)ᵀ V⁺ (O − E) for independent draws (observed share,
    probabilities).

    Shares add up to 1, so V is singular; what rounding leaves of its null space is no degree of freedom.
    """
    from scipy.stats import chi2

    if not draws:
        return None
    observed = np.array([seen for seen, _ in draws])
    expected = np.array([shares for _, shares in draws])
    covariance = np.diag(expected.sum(0)) - expected.T @ expected
    variances, directions = np.linalg.eigh(covariance)
    free = variances > NOTHING * variances.max()
    if not free.any():
        return None
    gap = (observed - expected).sum(0) @ directions[:, free]
    return round(float(chi2.sf(np.sum(gap**2 / variances[free]), int(free.sum()))), 6)


def _percent(share: float | np.floating) -> float:
    return round(100 * float(share), 4)
