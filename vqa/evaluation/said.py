"""Reading what a model said: result files in the official layouts, and our own predictions files.

A record has an id (`question_id`, `questionId` or `qa_id`) and an answer (`answer`, `prediction`,
or the first of `candidates`); it may add `choice_scores` with the `choices` that they belong to,
`confidence` and `top`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from vqa.errors import ResultError
from vqa.evaluation.files import json_lines, parse_json, read_text
from vqa.evaluation.json_stream import parse_list
from vqa.evaluation.predictions import Prediction, id_text, plain_text
from vqa.evaluation.truth import Truth, records_of

ID_KEYS = ("question_id", "questionId", "qa_id")
ANSWER_KEYS = ("answer", "prediction", "candidates")


SIMPLE_KEYS = frozenset((*ID_KEYS, *ANSWER_KEYS))


class Said(NamedTuple):
    """What a model said to one question; `where` names its record, `choices` those of
    `choice_scores`."""

    question_id: str
    where: str
    answer: str | None
    choice_scores: list[float | None] = []  # noqa: RUF012
    top: list[tuple[str, float]] = []  # noqa: RUF012
    confidence: float | None = None
    choices: list[str] = []  # noqa: RUF012


def read_results(path: Path) -> list[Said]:
    """Read a result file: a JSON list or JSON Lines, gzipped or not.

    Raises:
        ResultError: it cannot be parsed, a record is malformed, or ids are strings in one record
            and numbers in another.
    """
    said = []
    kind: type | None = None
    for where, record in _records(path):
        key = _first_of(ID_KEYS, record)
        if key is None:
            raise ResultError(f"no question id ({', '.join(ID_KEYS)})", where=where)
        said.append(_said(record, key, where))
        kind = kind or type(record[key])
        if type(record[key]) is not kind:
            raise ResultError("ids are strings in some records and numbers in others", where=where)
    if not said:
        raise ResultError("holds no answer", where=str(path))
    return said


def join(truth: Truth, said: Iterable[Said]) -> list[Prediction]:
    """The questions with what was said to them, in the order of the questions; unanswered where
    nothing was.

    Raises:
        ResultError: scores of choices do not fit the question's choices.
    """
    by_id = {item.question_id: item for item in said}
    return [
        _joined(record, by_id[record.question_id], truth.choice_order)
        if record.question_id in by_id
        else record
        for record in truth.records
    ]


def _records(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    text = read_text(path)
    if not text.strip():
        raise ResultError("is empty", where=str(path))
    if not text.lstrip().startswith("{"):
        yield from records_of(parse_list(text, str(path)), str(path))
        return
    first = text.lstrip().partition("\n")[0].rstrip()
    if not first.endswith("}"):
        parse_json(text, str(path))
        raise ResultError("expected a list of records, found an object", where=str(path))
    for line, record in json_lines(text, path):
        if not isinstance(record, dict):
            raise ResultError("expected an object", where=f"{path}:{line}")
        yield f"{path}:{line}", record


def _first_of(keys: Sequence[str], record: dict[str, Any]) -> str | None:
    for key in keys:
        if key in record:
            return key
    return None


def _said(record: dict[str, Any], key: str, where: str) -> Said:
    try:
        question_id = id_text(record[key])
    except ValueError as error:
        raise ResultError(f"{key}: {error}", where=where) from None
    place = f"{where} (question {question_id[:60]})"
    answer = _answer(record, place)
    if record.keys() <= SIMPLE_KEYS and isinstance(answer, str):
        return Said(question_id, place, _checked_text(answer, place))
    return _full(record, question_id, answer, place)


def _checked_text(answer: str, place: str) -> str:
    try:
        return plain_text(answer)
    except ValueError as error:
        raise ResultError(f"answer: {error}", where=place) from None


def _full(record: dict[str, Any], question_id: str, answer: Any, place: str) -> Said:
    """A record with more than an id and an answer, checked as a `Prediction`."""
    scores, choices = record.get("choice_scores") or [], record.get("choices", [])
    unnamed = [""] * len(scores) if isinstance(scores, list) else []
    fields = {
        "question_id": question_id,
        "image_id": "-",
        "answer": answer,
        "choices": choices or unnamed,
        "choice_scores": scores,
        "confidence": record.get("confidence"),
        "top": record.get("top", []),
    }
    made = Prediction.from_json(fields, place)
    kept = made.choices if choices else []
    return Said(
        question_id, place, made.answer, made.choice_scores, made.top, made.confidence, kept
    )


def _answer(record: dict[str, Any], where: str) -> Any:
    key = _first_of(ANSWER_KEYS, record)
    if key is None and not record.get("choice_scores"):
        raise ResultError(f"no answer ({', '.join(ANSWER_KEYS)})", where=where)
    answer = record[key] if key else None
    if key == "candidates":
        answer = _first_candidate(answer, where)
    if answer is None and "choice_scores" not in record:
        raise ResultError("the answer is null", where=where)
    return answer


def _first_candidate(candidates: Any, where: str) -> Any:
    for _, candidate in records_of(candidates, f"{where}: candidates"):
        return candidate.get("answer")
    raise ResultError("no candidates", where=where)


def _joined(record: Prediction, said: Said, order_known: bool) -> Prediction:
    scores = _aligned(record, said, order_known) if said.choice_scores else []
    return record.with_said(said.answer, scores, said.top, said.confidence)


def _aligned(record: Prediction, said: Said, order_known: bool) -> list[float | None]:
    """The scores in the order of the question's own choices."""
    scores = said.choice_scores
    if len(scores) != len(record.choices):
        raise ResultError(
            f"{len(scores)} choice_scores for {len(record.choices)} choices", where=said.where
        )
    if not said.choices and not order_known:
        raise ResultError(
            "choice_scores need the record's own choices beside them", where=said.where
        )
    if (said.choices or record.choices) == record.choices:
        return scores
    if sorted(said.choices) != sorted(record.choices):
        raise ResultError("the choices are not those of the question", where=said.where)
    places: dict[str, list[float | None]] = {}
    for choice, score in zip(said.choices, scores, strict=True):
        places.setdefault(choice, []).append(score)
    return [places[choice].pop(0) for choice in record.choices]
