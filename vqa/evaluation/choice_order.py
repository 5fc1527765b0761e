"""Accuracy under other orders of the choices: a model that answers by meaning does not mind the
order.

`rotated` and `shuffled` make predictions with permuted choices and nothing said; whoever has the
model scores them and hands them back to `order_report`. Circular accuracy counts a question only
where it is right under every rotation (CircularEval: Liu et al. 2023, MMBench), which a guesser by
position almost never is; where scores are soft, the least of them counts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from vqa.errors import ResultError
from vqa.evaluation.multiple_choice import choice_score, chosen_positions
from vqa.evaluation.predictions import Prediction
from vqa.evaluation.result import mean

Rescore = Callable[[list[Prediction]], Sequence[Prediction]]
"""Scores the permuted choices: returns the same predictions, in order, with `choice_scores` or
`answer`."""

Score = Callable[[Prediction], float]


def permuted(prediction: Prediction, order: Sequence[int]) -> Prediction:
    """The question with its choices in `order` (old positions in their new places), and nothing
    said.

    Raises:
        ValueError: `order` is no permutation of the choices.
    """
    if sorted(order) != list(range(len(prediction.choices))):
        raise ValueError(f"{list(order)} is no permutation of {len(prediction.choices)} choices")
    label = order.index(prediction.label) if prediction.label >= 0 else -1
    return replace(
        prediction,
        choices=[prediction.choices[at] for at in order],
        label=label,
        answer=None,
        choice_scores=[],
        top=[],
        confidence=None,
        score=None,
    )


def rotated(predictions: Sequence[Prediction], shift: int) -> list[Prediction]:
    """Every question's choices moved on by `shift` places, each over its own number of choices."""
    return [permuted(item, _rotation(len(item.choices), shift)) for item in predictions]


def shuffled(predictions: Sequence[Prediction], seed: int) -> list[Prediction]:
    """Every question's choices in random order; the same for the same `seed` and question
    position."""
    rng = np.random.default_rng(seed)
    return [permuted(item, rng.permutation(len(item.choices)).tolist()) for item in predictions]


def order_report(
    predictions: Sequence[Prediction],
    rescore: Rescore,
    *,
    shuffles: int = 3,
    seed: int = 0,
    score: Score = choice_score,
) -> dict[str, Any]:
    """Accuracy as given, shuffled and under every rotation; all percent.

    Args:
        predictions: multiple-choice predictions in the given order, already said.
        rescore: the model (see `Rescore`); called `shuffles` times, and once a rotation.
        shuffles: number of random orders.
        seed: of the first one.
        score: of one question, 0 to 100.

    Returns:
        `given`; `shuffled` with `mean` and the accuracy of each; `circular` (right under every
        rotation), `rotations` (mean accuracy over them) and `same_choice` (questions whose chosen
        text never changes).

    Raises:
        ResultError: `rescore` returned other questions or other choices.
    """
    given = mean([score(item) for item in predictions])
    rounds = [_said(shuffled(predictions, seed + at), rescore) for at in range(shuffles)]
    each = [mean([score(item) for item in said]) for said in rounds]
    return {
        "given": round(given, 4),
        "shuffled": {"mean": round(mean(each), 4), "each": [round(one, 4) for one in each]}
        if each
        else None,
        **_circular(predictions, rescore, score),
    }


def _circular(
    predictions: Sequence[Prediction], rescore: Rescore, score: Score
) -> dict[str, float]:
    width = max(len(item.choices) for item in predictions)
    every_right = [100.0] * len(predictions)
    total = [0.0] * len(predictions)
    chosen: list[set[frozenset[str]]] = [set() for _ in predictions]
    for shift in range(width):
        rows = [at for at, item in enumerate(predictions) if shift < len(item.choices)]
        said = _said(rotated([predictions[at] for at in rows], shift), rescore)
        for at, item in zip(rows, said, strict=True):
            worth = score(item)
            every_right[at] = min(every_right[at], worth)
            total[at] += worth / len(item.choices)
            chosen[at].add(frozenset(item.choices[place] for place in chosen_positions(item)))
    return {
        "circular": round(mean(every_right), 4),
        "rotations": round(mean(total), 4),
        "same_choice": round(mean([100.0 * (len(texts) == 1) for texts in chosen]), 4),
    }


def _said(asked: list[Prediction], rescore: Rescore) -> Sequence[Prediction]:
    said = rescore(asked)
    if [(one.question_id, one.choices) for one in said] != [
        (one.question_id, one.choices) for one in asked
    ]:
        raise ResultError("re-scoring returned other questions or choices than it was given")
    return said


def _rotation(size: int, shift: int) -> list[int]:
    return [(at + shift) % size for at in range(size)]
