"""What blind guessing gets on the questions of a comparison: computed, not trained."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vqa.errors import InputError
from vqa.evaluation.baselines import AnswerPrior, said
from vqa.evaluation.predictions import Prediction
from vqa.evaluation.protocols import score_predictions
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
        name, guesses = CHANCE, [_tied(item) for item in run.predictions]
    else:
        name, guesses = MAJORITY, _majority(run, experiment)
    scored = score_predictions(guesses, protocol, resamples=0).predictions
    return name, Run(name, scored, run.identity)


def _tied(item: Prediction) -> Prediction:
    """All choices alike, which every protocol for choices scores with the chance."""
    return said(item, None, [0.0] * len(item.choices))


def _majority(run: Run, experiment: Mapping[str, Any]) -> list[Prediction]:
    from vqa.data.store import Store
    from vqa.evaluation.predict import questions_of

    data = experiment.get("data") or {}
    store = Store.open(Path(str(data.get("store"))))
    if run.identity["data_fingerprint"] not in (None, store.fingerprint):
        raise InputError("is not the store of these runs", where=str(store.path))
    prior = AnswerPrior(questions_of(store, store.rows(str(data.get("train_split", "train")))), [])
    return [prior.guess(item) for item in run.predictions]
