"""What blind guessing gets on the questions of a comparison: computed, not trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vqa.errors import InputError
from vqa.evaluation.baselines import AnswerPrior, said
from vqa.evaluation.predictions import Prediction
from vqa.evaluation.protocols import READ_CHOICES, score_predictions
from vqa.evaluation.runs import Run

CHANCE, MAJORITY = "chance", "majority"


def chance_run(run: Run, experiment: Mapping[str, Any]) -> tuple[str, Run]:
    """A run that guesses, with its name: `chance` among choices, the `majority` answer of training elsewhere.

    Args:
        run: any scored run; its questions are guessed.
        experiment: names the store whose training split is counted, where there are no choices.

    Raises:
        InputError: the store is not here, or is another one.
    """
    protocol = run.identity["protocol"] or ""
    if all(item.choices for item in run.predictions):
        name, scored = CHANCE, _guessed(run.predictions, protocol)
    else:
        name, scored = MAJORITY, _scored(_majority(run, experiment), protocol)
    return name, Run(name, scored, run.identity, computed=True)


def _guessed(items: Sequence[Prediction], protocol: str) -> list[Prediction]:
    """What picking any choice is worth on average: a tie of all, where the protocol reads choices."""
    tied = [said(item, None, [0.0] * len(item.choices)) for item in items]
    if protocol in READ_CHOICES:
        return _scored(tied, protocol)
    totals = [0.0] * len(items)
    for at in range(max(len(item.choices) for item in items)):
        rows = [row for row, item in enumerate(items) if at < len(item.choices)]
        texts = [items[row].with_said(items[row].choices[at], [], [], None) for row in rows]
        worth = score_predictions(texts, protocol, resamples=0).scores
        for row, score in zip(rows, worth, strict=True):
            totals[row] += score
    return [
        item.with_score(total / len(item.choices)) for item, total in zip(tied, totals, strict=True)
    ]


def _scored(guesses: Sequence[Prediction], protocol: str) -> list[Prediction]:
    return score_predictions(guesses, protocol, resamples=0).predictions


def _majority(run: Run, experiment: Mapping[str, Any]) -> list[Prediction]:
    from vqa.data.store import Store
    from vqa.evaluation.predict import questions_of

    data = experiment.get("data") or {}
    if not data.get("store"):
        raise InputError("the store whose training answers are to be counted is not known")
    store = Store.open(Path(str(data["store"])))
    if run.identity["data_fingerprint"] not in (None, store.fingerprint):
        raise InputError("is not the store of these runs", where=str(store.path))
    prior = AnswerPrior(questions_of(store, store.rows(str(data.get("train_split", "train")))), [])
    return [prior.guess(item) for item in run.predictions]
