"""Score a trained model on a split: every question once, from any number of processes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import distributed

from vqa.data.cache.regions import regions_fingerprint
from vqa.data.cache.texts import kept_table
from vqa.data.store import Store
from vqa.data.supply import find_supply
from vqa.data.text import AnswerVocabulary
from vqa.errors import DataError, ResultError
from vqa.evaluation.coverage import IdMismatch, check_ids, first_few
from vqa.evaluation.files import write_atomically
from vqa.evaluation.multiple_choice import OutOfVocabulary
from vqa.evaluation.normalise import light
from vqa.evaluation.predict import Exam, predict
from vqa.evaluation.predictions import Prediction, id_text, read_predictions, write_predictions
from vqa.evaluation.protocols import protocol_for, score_predictions
from vqa.evaluation.result import EvaluationResult
from vqa.evaluation.submission import read_asked
from vqa.export import VQAModel


def open_exam(
    model: VQAModel,
    store: Store,
    split: str,
    *,
    batch_size: int,
    device: torch.device,
    rank: int = 0,
    world: int = 1,
) -> Exam:
    """The model before every question of `split`, in the store's order; of several processes, each has the pictures
    that it looks at alone.

    Raises:
        DataError: there is no such split, the model picks among choices and none of its questions has any, or the
            regions that it reads are missing or others than it learnt from.
    """
    rows = store.rows(split)
    table = kept_table(store, rows, model.tokenizer, model.vocabulary)
    if model.experiment.model.reads_choices and table.choices is None:
        raise DataError(
            "the model picks among choices, and this split has none", where=f"{store.path}, {split}"
        )
    encoder, experiment = model.network.image_encoder, model.experiment
    _check_regions(model, store)
    supply = find_supply(store, experiment, encoder, device, table.image_rows)
    predictor = model.predictor(device)
    held = predictor.images(table, batch_size, rank, world) if world > 1 else None
    count = len(table.image_rows if held is None else held)
    here = 1 if held is None else experiment.trainer.devices
    bank = supply.bank(table.image_rows, resident=supply.fits(count, here), held=held)
    choices = store.column("choices", rows)
    return Exam(predictor, table, choices, bank, model.vocabulary, batch_size)


def _check_regions(model: VQAModel, store: Store) -> None:
    """Refuse a store whose regions were exchanged since the model learnt from them."""
    known = model.regions_fingerprint
    if known is None or store.fingerprint != model.data_fingerprint:
        return
    if regions_fingerprint(store, model.experiment) != known:
        raise DataError(
            "these are not the regions that the model learnt from",
            where=str(store.path),
            fix="bring in those with vqa prepare regions, or train again",
        )


def predict_split(
    model: VQAModel,
    store: Store,
    split: str,
    *,
    batch_size: int,
    device: torch.device,
    rank: int,
    world: int,
) -> list[Prediction]:
    """This process's predictions for `split`, in the store's order.

    Raises:
        DataError: as `open_exam`.
    """
    exam = open_exam(
        model, store, split, batch_size=batch_size, device=device, rank=rank, world=world
    )
    return predict(exam, store, rank, world)


def gather_predictions(
    own: list[Prediction], file: Path, order: list[str], rank: int, world: int
) -> list[Prediction]:
    """Join every process's predictions by way of the disk, in the order of the question ids `order`.

    Returns:
        All predictions in the first process, nothing in the others.
    """
    if world == 1:
        return own
    parts = [file.with_name(f".{file.stem}.rank{n}.jsonl") for n in range(world)]
    file.parent.mkdir(parents=True, exist_ok=True)
    write_predictions(parts[rank], own)
    distributed.barrier()
    if rank:
        return []
    found = {item.question_id: item for part in parts for item in read_predictions(part)}
    for part in parts:
        part.unlink()
    return [found[question_id] for question_id in order]


def score(
    predictions: list[Prediction],
    protocol: str,
    out_of_vocabulary: OutOfVocabulary,
    file: Path | None = None,
    vocabulary: AnswerVocabulary | None = None,
) -> EvaluationResult:
    """Score under `protocol` (`auto` fits it to the data) and write the predictions file.

    With a classifier's `vocabulary` the result of an open-ended protocol says, as that of multiple choice
    does, how many right answers it can say.

    Raises:
        InputError: no such protocol.
        ResultError: the questions cannot be scored under it.
    """
    name = protocol_for(predictions) if protocol == "auto" else protocol
    result = score_predictions(predictions, name, out_of_vocabulary=out_of_vocabulary)
    if vocabulary is not None and "coverage" not in result.details:
        result = _with_coverage(result, vocabulary)
    result = replace(result, notes=[*result.notes, *_one_answer(result.unscored)])
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_predictions(file, result.predictions)
    return result


def _with_coverage(result: EvaluationResult, vocabulary: AnswerVocabulary) -> EvaluationResult:
    known = {light(answer) for answer in vocabulary.answers}
    can = [any(light(answer) in known for answer in item.answers) for item in result.unscored]
    share = 100 * sum(can) / len(can)
    note = f"the vocabulary can say a right answer to {share:.1f} % of the questions"
    return replace(
        result,
        details=result.details | {"coverage": {"right_answers": round(share, 4)}},
        notes=result.notes if all(can) else [*result.notes, note],
    )


def _one_answer(predictions: Sequence[Prediction]) -> list[str]:
    """A note where a model says the same whatever it is asked, though right answers differ: it has learnt nothing."""
    said = {item.answer for item in predictions}
    right = {answer for item in predictions for answer in item.answers}
    if len(said) != 1 or len(right) < 2 or None in said:
        return []
    return [
        f"the model answers {said.pop()!r} to every question, so it has not learnt to tell them apart"
    ]


def has_truth(predictions: list[Prediction]) -> bool:
    """Whether the questions' right answers are known; a published test split withholds them."""
    return any(item.answers or item.label >= 0 for item in predictions)


def write_evaluation(
    file: Path, fields: Mapping[str, Any], predictions_file: Path, predictions: Sequence[Prediction]
) -> None:
    """Write an evaluation's figures as JSON, and the predictions, each whole or not at all.

    The figures are there first. They name their scores by `scores_sha256`, so whoever finds them beside earlier
    predictions knows that the scores there are of another evaluation.
    """
    text = json.dumps(fields, ensure_ascii=False, indent=2, allow_nan=False)
    write_atomically(file, [text, "\n"])
    predictions_file.parent.mkdir(parents=True, exist_ok=True)
    write_predictions(predictions_file, predictions)


def check_asked(questions: Path, ids: Sequence[str], split: str) -> None:
    """Refuse a question file that does not ask exactly the questions `ids`.

    Raises:
        ResultError: it cannot be read, is in no known layout, or asks others; counts and names them.
    """
    _, asked = read_asked(questions, split)
    try:
        check_ids((id_text(one) for one in asked), ids, str(questions))
    except IdMismatch as error:
        apart = ((error.missing, "not in the split"), (error.foreign, "not in the file"))
        told = [f"{len(found)} are {text} ({first_few(found)})" for found, text in apart if found]
        raise ResultError(
            f"asks other questions than split {split}: {', '.join(told)}",
            where=str(questions),
            fix="give the question file of this split",
        ) from None


def guessed(predictions: Sequence[Prediction]) -> tuple[list[Prediction], int]:
    """The predictions with the first choice for those whose choices cannot be said at all, and how
    many those are: a leaderboard takes no question without an answer, and a guess scores its
    chance."""
    empty = [item.answer is None and bool(item.choices) for item in predictions]
    filled = [
        replace(item, answer=item.choices[0]) if is_empty else item
        for item, is_empty in zip(predictions, empty, strict=True)
    ]
    return filled, sum(empty)
