"""Scoring result files: read, check, join, score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vqa.errors import InputError, ResultError
from vqa.evaluation.bootstrap import RESAMPLES
from vqa.evaluation.coverage import check_ids
from vqa.evaluation.files import read_json
from vqa.evaluation.gqa import gqa_details
from vqa.evaluation.multiple_choice import OutOfVocabulary
from vqa.evaluation.predictions import Prediction, read_predictions
from vqa.evaluation.protocols import score_predictions
from vqa.evaluation.result import EvaluationResult
from vqa.evaluation.said import join, read_results
from vqa.evaluation.truth import Truth, read_truth


@dataclass(frozen=True)
class ScoreRequest:
    """The files and policies of one scoring.

    Attributes:
        results: the result file, or a predictions file.
        questions, annotations: what is right; neither where `results` is a predictions file that
            holds it.
        choices: GQA's choices file.
        split: only the questions of this split.
        allow_missing: count questions without an answer as wrong.
    """

    results: Path
    questions: Path | None = None
    annotations: Path | None = None
    choices: Path | None = None
    split: str = ""
    allow_missing: bool = False
    out_of_vocabulary: OutOfVocabulary = "mask"
    resamples: int = RESAMPLES
    seed: int = 0


@dataclass(frozen=True)
class Joined:
    """Predictions ready to be scored, once for however many protocols."""

    predictions: list[Prediction]
    said: dict[str, str | None]
    truth: Truth
    missing: list[str]


def read_request(request: ScoreRequest) -> Joined:
    """Read and join the files of a request.

    Raises:
        ResultError: a file or record is malformed; `IdMismatch` where the ids do not fit.
    """
    if request.questions is None and request.annotations is None:
        predictions = _self_contained(request)
        said = {item.question_id: item.answer for item in predictions}
        return Joined(predictions, said, Truth(predictions), [])
    truth = read_truth(request.questions, request.annotations, request.split)
    results = read_results(request.results)
    missing = check_ids(
        (item.question_id for item in truth.records),
        [item.question_id for item in results],
        str(request.results),
        allow_missing=request.allow_missing,
        optional=truth.optional,
    )
    said = {item.question_id: item.answer for item in results}
    return Joined(join(truth, results), said, truth, missing)


def score_joined(joined: Joined, protocol: str, request: ScoreRequest) -> EvaluationResult:
    """Score joined predictions under one protocol.

    Raises:
        InputError: no such protocol, or it cannot score these questions.
    """
    result = score_predictions(
        joined.predictions,
        protocol,
        out_of_vocabulary=request.out_of_vocabulary,
        resamples=request.resamples,
        seed=request.seed,
    )
    if protocol == "gqa/1" and joined.truth.raw:
        result = _with_gqa(result, joined, request)
    silent = sum(item.answer is None and not item.choice_scores for item in joined.predictions)
    if silent > len(joined.missing):
        note = f"{silent - len(joined.missing)} questions have a null answer and count as wrong"
        result = replace(result, notes=[note, *result.notes])
    if not joined.missing:
        return result
    note = f"{len(joined.missing)} of {result.n} questions have no answer and count as wrong"
    return replace(
        result, notes=[note, *result.notes], details={"missing": joined.missing} | result.details
    )


def differing(first: EvaluationResult, second: EvaluationResult) -> list[dict[str, Any]]:
    """The questions that two protocols score differently, with both scores."""
    scored = zip(first.unscored, first.scores, second.scores, strict=True)
    return [
        {
            "question_id": item.question_id,
            "answer": item.answer,
            first.protocol: one,
            second.protocol: other,
        }
        for item, one, other in scored
        if abs(one - other) > 1e-9
    ]


def find(predictions: Sequence[Prediction], question_id: str) -> Prediction:
    """The prediction of one question.

    Raises:
        InputError: there is none.
    """
    for item in predictions:
        if item.question_id == question_id:
            return item
    raise InputError(f"no question {question_id!r} in these files")


def _self_contained(request: ScoreRequest) -> list[Prediction]:
    predictions = read_predictions(request.results)
    if not predictions:
        raise ResultError("holds no prediction", where=str(request.results))
    if not request.split:
        return predictions
    kept = [item for item in predictions if item.split == request.split]
    if not kept:
        found = ", ".join(sorted({item.split for item in predictions if item.split})) or "none"
        raise ResultError(
            f"no question of split {request.split!r} (it has {found})", where=str(request.results)
        )
    return kept


def _with_gqa(result: EvaluationResult, joined: Joined, request: ScoreRequest) -> EvaluationResult:
    choices = read_json(request.choices) if request.choices else None
    if choices is not None and not isinstance(choices, dict):
        raise ResultError("expected an object by question id", where=str(request.choices))
    details, notes = gqa_details(result.unscored, joined.said, joined.truth.raw, choices)
    kept = [note for note in result.notes if not note.startswith("not computed: ")]
    return replace(result, details=details, notes=[*kept, *notes])
