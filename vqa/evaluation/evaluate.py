"""Score a trained model on a split: every question once, from any number of processes."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import distributed

from vqa.config import DataConfig
from vqa.data.bank import open_bank
from vqa.data.store import Store
from vqa.data.table import build_table
from vqa.errors import DataError
from vqa.evaluation.multiple_choice import OutOfVocabulary
from vqa.evaluation.predict import Predictor, predict
from vqa.evaluation.predictions import Prediction, read_predictions, write_predictions
from vqa.evaluation.protocols import protocol_for, score_predictions
from vqa.evaluation.result import EvaluationResult
from vqa.export import VQAModel


def predict_split(
    model: VQAModel,
    store: Store,
    split: str,
    *,
    batch_size: int,
    device: torch.device,
    rank: int = 0,
    world: int = 1,
) -> list[Prediction]:
    """This process's predictions for `split`, in the store's order.

    Raises:
        DataError: there is no such split, or the model picks among choices and the split has none.
    """
    data: DataConfig = model.experiment.data
    table = build_table(store, store.rows(split), model.tokenizer, model.vocabulary)
    if model.experiment.model.reads_choices and table.choices is None:
        raise DataError(
            "the model picks among choices, and this split has none", where=f"{store.path}, {split}"
        )
    predictor: Predictor = model.predictor(device)
    bank = open_bank(store, table.image_rows, data.image_size, data.resize, device, data.resident)
    return predict(predictor, store, table, bank, model.vocabulary, batch_size, rank, world)


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
) -> EvaluationResult:
    """Score under `protocol` (`auto` fits it to the data) and write the predictions file.

    Raises:
        InputError: no such protocol.
        ResultError: the questions cannot be scored under it.
    """
    name = protocol_for(predictions) if protocol == "auto" else protocol
    result = score_predictions(predictions, name, out_of_vocabulary=out_of_vocabulary)
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_predictions(file, result.predictions)
    return result


def has_truth(predictions: list[Prediction]) -> bool:
    """Whether the questions' right answers are known; a published test split withholds them."""
    return any(item.answers or item.label >= 0 for item in predictions)
