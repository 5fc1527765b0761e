"""Leaderboard files in the layouts that the evaluation servers take, checked before a byte is
written.

- vqa: [{"question_id": 1, "answer": "yes"}], ids as numbers where the question file has numbers;
- gqa: [{"questionId": "1", "prediction": "yes"}], ids as strings, every question of the file;
- visual7w: [{"qa_id": 1, "question": "…", "candidates": [{"answer": "…"}]}].

GQA's server wants the answers to all questions of its file, balanced or not, since consistency
needs them.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from vqa.errors import InputError, ResultError
from vqa.evaluation.coverage import check_ids, first_few
from vqa.evaluation.files import read_json, write_atomically
from vqa.evaluation.multiple_choice import chosen_positions
from vqa.evaluation.predictions import Prediction, id_text
from vqa.evaluation.truth import records_of, take

Layout = Literal["vqa", "gqa", "visual7w"]


def write_submission(
    path: Path, predictions: Sequence[Prediction], questions: Path, *, split: str = ""
) -> Layout:
    """Write `predictions` as the submission that fits the question file, in its order; returns the
    layout.

    Args:
        path: the file to write, whole or not at all.
        predictions: exactly one for every question of the file.
        questions: the official question file; its layout decides that of the submission.
        split: only the questions of this split (Visual7W keeps all splits in one file).

    Raises:
        ResultError: the question file is in no known layout, or a prediction has no answer.
        IdMismatch: an id is missing, repeated or foreign.
    """
    layout, asked = read_asked(questions, split)
    by_id = {item.question_id: item for item in predictions}
    given = [item.question_id for item in predictions]
    check_ids((id_text(one) for one in asked), given, f"submission for {questions}")
    record = RECORDS[layout]
    found = [record(one, by_id[id_text(one)]) for one in asked]
    write_atomically(path, _lines(found))
    return layout


def read_asked(questions: Path, split: str) -> tuple[Layout, list[Any]]:
    """The layout of a question file and the ids in it, as they stand there (number or string), in
    order.

    Raises:
        ResultError: the file cannot be read, is in no known layout, or asks a question twice.
    """
    layout, asked = _read_asked(read_json(questions, strict=False), questions, split)
    twice = [one for one, count in Counter(map(id_text, asked)).items() if count > 1]
    if twice:
        raise ResultError(f"asks questions twice ({first_few(twice)})", where=str(questions))
    return layout, asked


def _read_asked(value: Any, questions: Path, split: str) -> tuple[Layout, list[Any]]:
    if not isinstance(value, dict):
        raise ResultError("expected an object", where=str(questions))
    if "questions" in value:
        found = records_of(value["questions"], f"{questions}: questions")
        return "vqa", [_id(record, "question_id", where) for where, record in found]
    if "images" in value:
        return "visual7w", list(_visual7w_ids(value["images"], f"{questions}: images", split))
    if value and all(isinstance(one, dict) and "imageId" in one for one in value.values()):
        return "gqa", list(value)
    raise ResultError(
        "is in no known layout",
        where=str(questions),
        fix="give the VQA, GQA or Visual7W question file",
    )


def said_answer(item: Prediction) -> str:
    """The answer to submit: `answer`, else the best-scored choice (of equals the first).

    Raises:
        ResultError: there is neither.
    """
    if item.answer is not None:
        return item.answer
    chosen = chosen_positions(item)
    if not chosen:
        raise ResultError("has no answer to submit", where=f"question {item.question_id}")
    return item.choices[chosen[0]]


def _vqa_record(question_id: Any, item: Prediction) -> dict[str, Any]:
    return {"question_id": question_id, "answer": said_answer(item)}


def _gqa_record(question_id: Any, item: Prediction) -> dict[str, Any]:
    return {"questionId": question_id, "prediction": said_answer(item)}


def _visual7w_record(question_id: Any, item: Prediction) -> dict[str, Any]:
    candidates = [{"answer": said_answer(item)}]
    return {"qa_id": question_id, "question": item.question, "candidates": candidates}


RECORDS: Mapping[Layout, Callable[[Any, Prediction], dict[str, Any]]] = MappingProxyType(
    {"vqa": _vqa_record, "gqa": _gqa_record, "visual7w": _visual7w_record}
)


def _id(record: Mapping[str, Any], key: str, where: str) -> Any:
    take(record, key, id_text, where)
    return record[key]


def _visual7w_ids(images: Any, where: str, split: str) -> Iterable[Any]:
    splits = set()
    for place, image in records_of(images, where):
        splits.add(image.get("split", ""))
        if split in ("", image.get("split")):
            for inner, pair in records_of(image.get("qa_pairs"), f"{place}: qa_pairs"):
                yield _id(pair, "qa_id", inner)
    if split and split not in splits:
        raise InputError(f"no split {split!r} in it", where=where)


def _lines(records: Sequence[dict[str, Any]]) -> Iterable[str]:
    yield "["
    for at, record in enumerate(records):
        yield (",\n" if at else "\n") + json.dumps(record)
    yield "\n]\n"
