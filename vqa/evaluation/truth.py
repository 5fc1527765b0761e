"""Reading what is right: question and annotation files in the published layouts.

| layout | told by | answers |
|---|---|---|
| VQA v1, v2 and their like | `annotations` in the annotation file | ten |
| Visual7W telling | `images[].qa_pairs` | one, with four choices |
| GQA | an object by question id with `imageId` | one |
| CLEVR | `questions[].question_index` | one |
| our own | a list or JSON Lines of records like a predictions file | any |

Ids are text from here on: 413918000 and "413918000" are the same question.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from vqa.errors import ResultError
from vqa.evaluation.coverage import first_few
from vqa.evaluation.files import json_lines, parse_quickly, read_json, read_text
from vqa.evaluation.json_stream import parse_object
from vqa.evaluation.predictions import MAX_ANSWER, Prediction, id_text, plain_text


@dataclass(frozen=True)
class Truth:
    """The questions with what is right, as predictions without an answer.

    Attributes:
        records: in the order of the file that holds the answers.
        raw: the published record by question id, for protocols with figures of their own (GQA).
        optional: ids that may but need not be answered (GQA's unbalanced questions).
        protocol: what the layout is scored by; "" where the questions decide.
        choice_order: whether the order of the choices is the file's own; Visual7W lists the right
            one apart, so there the choices stand in alphabetical order, which favours none.
    """

    records: list[Prediction]
    raw: Mapping[str, Any] = field(default_factory=dict)
    optional: frozenset[str] = frozenset()
    choice_order: bool = True
    protocol: str = ""
    right: Mapping[str, str] = field(default_factory=dict)


_OBJECT = re.compile(r"\s*\{")


def read_truth(questions: Path | None, annotations: Path | None, split: str) -> Truth:
    """Read the questions and what is right from one file or two.

    Args:
        questions: question file; alone where it holds the answers too (GQA, Visual7W, CLEVR).
        annotations: annotation file; alone where the texts and choices of the questions are not
            needed.
        split: only the questions of this split, where the layout names splits.

    Raises:
        ResultError: a file is unreadable, in no known layout, has a bad record, repeats an id, or
            the two differ in their ids; or no file was given.
    """
    holder = annotations or questions
    if holder is None:
        raise ResultError("neither questions nor annotations are given")
    truth = _read(holder)
    if annotations is not None and questions is not None and annotations != questions:
        truth = _with_questions(truth, questions, annotations)
    if split:
        truth = _only(truth, split, holder)
    _check_unique(truth, holder)
    if not truth.records:
        raise ResultError("holds no question", where=str(holder))
    return truth


def records_of(value: Any, where: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (place, record) for every object of a list, or of an iterator over one.

    Raises:
        ResultError: `value` is no list, or one of its elements no object.
    """
    if not isinstance(value, list | Iterator):
        raise ResultError(f"expected a list of records, found {_kind(value)}", where=where)
    for position, record in enumerate(value):
        place = f"{where}[{position}]"
        if not isinstance(record, dict):
            raise ResultError(f"expected an object, found {_kind(record)}", where=place)
        yield place, record


def take(record: Mapping[str, Any], key: str, check: Callable[[Any], Any], where: str) -> Any:
    """The value of `key` after `check`.

    Raises:
        ResultError: it is absent or `check` refuses it with a ValueError.
    """
    try:
        return check(record[key])
    except KeyError:
        raise ResultError(f"no {key!r}", where=where) from None
    except ValueError as error:
        raise ResultError(f"{key}: {error}", where=where) from None


def texts(value: Any) -> list[str]:
    """`value` where it is a list of strings.

    Raises:
        ValueError: it is not.
    """
    if not isinstance(value, list):
        raise ValueError(f"expected a list, found {_kind(value)}")
    return [plain_text(item) for item in value]


def _optional(record: Mapping[str, Any], key: str, where: str) -> str:
    """The text of `key`, empty where it is absent."""
    return take(record, key, plain_text, where) if key in record else ""


def _read(path: Path) -> Truth:
    text, where = read_text(path), str(path)
    if _is_json_lines(text):
        return Truth([_own(record, f"{path}:{line}") for line, record in json_lines(text, path)])
    if text.lstrip().startswith("{"):
        return _published(text, where)
    found = records_of(parse_quickly(text, where), where)
    return Truth([_own(record, place) for place, record in found])


def _is_json_lines(text: str) -> bool:
    start = len(text) - len(text.lstrip())
    end = text.find("\n", start)
    if end < 0 or text[start] != "{" or not text[start:end].rstrip().endswith("}"):
        return False
    return _OBJECT.match(text, end) is not None


def _published(text: str, where: str) -> Truth:
    def annotations(records: Any) -> Truth:
        return _vqa_annotations(records, f"{where}: annotations")

    value = parse_object(text, where, "annotations", annotations)
    if "annotations" in value:
        found = value["annotations"]
        return found if isinstance(found, Truth) else annotations(found)
    if "images" in value:
        return _visual7w(value["images"], f"{where}: images")
    if "questions" in value:
        found = records_of(value["questions"], f"{where}: questions")
        return Truth([_clevr(record, place) for place, record in found])
    if value and all(isinstance(item, dict) and "imageId" in item for item in value.values()):
        return _gqa(value, where)
    raise ResultError(
        "is in no known layout (VQA annotations, Visual7W, GQA, CLEVR, or a list of records)",
        where=where,
    )


def _own(record: Any, where: str) -> Prediction:
    if isinstance(record, dict) and "answers" not in record and "answer" in record:
        record = record | {"answers": [record["answer"]]}
    made = Prediction.from_json(record, where)
    return replace(made, answer=None, choice_scores=[], top=[], confidence=None, score=None)


def _vqa_annotations(value: Any, where: str) -> Truth:
    records, right = [], {}
    for place, record in records_of(value, where):
        made = _vqa(record, place)
        records.append(made)
        agreed_on = record.get("multiple_choice_answer")
        if isinstance(agreed_on, str):
            right[made.question_id] = sys.intern(agreed_on)
    return Truth(records, right=right)


def _vqa(record: dict[str, Any], where: str) -> Prediction:
    found = record.get("answers")
    if not isinstance(found, list) or not found:
        raise ResultError("no 'answers', a list of what people said", where=where)
    try:
        answers = [one["answer"] if isinstance(one, dict) else one for one in found]
        answers = _shared_texts(answers)
    except (ValueError, KeyError) as error:
        raise ResultError(f"answers: {error}", where=where) from None
    return Prediction(
        question_id=take(record, "question_id", id_text, where),
        image_id=take(record, "image_id", id_text, where),
        question_type=_optional(record, "question_type", where),
        answer_type=_optional(record, "answer_type", where),
        answers=answers,
    )


def _shared_texts(answers: list[Any]) -> list[str]:
    """`plain_text` of each, by one look at all of them where that will do; equal ones are one object."""
    try:
        together = "".join(answers)
    except TypeError:
        together = ""
    if not together.isascii() or not 0 < len(together) <= MAX_ANSWER:
        answers = [plain_text(answer) for answer in answers]
    return list(map(sys.intern, answers))


def _with_questions(truth: Truth, questions: Path, annotations: Path) -> Truth:
    """Add question texts, choices and labels from a question file of the VQA layout."""
    value = read_json(questions, strict=False)
    where = f"{questions}: questions"
    if not isinstance(value, dict) or "questions" not in value:
        raise ResultError("no 'questions' in it", where=str(questions))
    by_id: dict[str, tuple[str, dict[str, Any]]] = {}
    for place, record in records_of(value["questions"], where):
        question_id = take(record, "question_id", id_text, place)
        if question_id in by_id:
            raise ResultError(f"question id {question_id[:40]} stands more than once", where=place)
        by_id[question_id] = place, record
    _check_same_ids(truth, by_id, f"{questions}, compared with {annotations}")
    records = [
        _with_question(item, *by_id[item.question_id], truth.right) for item in truth.records
    ]
    # VQA v1's multiple choice: people's answers score the choice, its own label does not.
    soft = all(item.choices and len(item.answers) == 10 for item in records)
    return replace(truth, records=records, protocol="vqa-accuracy/since-2021" if soft else "")


def _with_question(
    item: Prediction, where: str, record: dict[str, Any], right: Mapping[str, str]
) -> Prediction:
    question = _optional(record, "question", where)
    choices = take(record, "multiple_choices", texts, where) if "multiple_choices" in record else []
    answer = right.get(item.question_id)
    label = choices.index(answer) if answer in choices else -1
    return item.with_question(question, choices, label)


def _check_unique(truth: Truth, holder: Path) -> None:
    counts = Counter(item.question_id for item in truth.records)
    twice = [question_id for question_id, count in counts.items() if count > 1]
    if twice:
        raise ResultError(
            f"question ids stand more than once ({first_few(twice)})", where=str(holder)
        )


def _check_same_ids(truth: Truth, by_id: Mapping[str, Any], where: str) -> None:
    annotated = {item.question_id for item in truth.records}
    extra = [one for one in by_id if one not in annotated]
    absent = [one for one in annotated if one not in by_id]
    if extra or absent:
        raise ResultError(
            f"{len(extra)} questions are not annotated ({first_few(extra)}), "
            f"{len(absent)} annotated ones are absent ({first_few(absent)})",
            where=where,
            fix="give the two files of one split",
        )


def _visual7w(value: Any, where: str) -> Truth:
    records = []
    for place, image in records_of(value, where):
        split = _optional(image, "split", place)
        for inner, pair in records_of(image.get("qa_pairs"), f"{place}: qa_pairs"):
            records.append(_visual7w_pair(pair, split, inner))
    return Truth(records, choice_order=False, protocol="visual7w/1")


def _visual7w_pair(pair: dict[str, Any], split: str, where: str) -> Prediction:
    answer = take(pair, "answer", plain_text, where)
    wrong = take({"multiple_choices": []} | pair, "multiple_choices", texts, where)
    choices = sorted([answer, *wrong]) if wrong else []
    return Prediction(
        question_id=take(pair, "qa_id", id_text, where),
        image_id=take(pair, "image_id", id_text, where),
        split=split,
        question_type=_optional(pair, "type", where),
        answers=[answer],
        choices=choices,
        label=choices.index(answer) if choices else -1,
        question=_optional(pair, "question", where),
    )


def _clevr(record: dict[str, Any], where: str) -> Prediction:
    if "answer" not in record:
        fix = "give questions as --questions, and the file with their answers as --annotations"
        raise ResultError("no 'answer'", where=where, fix=fix)
    program = record.get("program")
    last = program[-1] if isinstance(program, list) and program else {}
    kind = last.get("function", last.get("type", "")) if isinstance(last, dict) else ""
    return Prediction(
        question_id=take(record, "question_index", id_text, where),
        image_id=take(record, "image_index", id_text, where),
        split=_optional(record, "split", where),
        question_type=kind if isinstance(kind, str) else "",
        answers=[take(record, "answer", plain_text, where)],
        question=_optional(record, "question", where),
    )


def _gqa(value: dict[str, Any], where: str) -> Truth:
    records = [_gqa_question(key, record, f"{where}: {key}") for key, record in value.items()]
    optional = frozenset(key for key, record in value.items() if record.get("isBalanced") is False)
    balanced = [item for item in records if item.question_id not in optional]
    return Truth(balanced, raw=value, optional=optional, protocol="gqa/1")


_GQA_PARTS: Mapping[str, type] = MappingProxyType(
    {"types": dict, "groups": dict, "entailed": list, "isBalanced": bool}
)
"""What GQA's own figures read of a question, where it is there and not null."""


def _check_gqa(record: Mapping[str, Any], where: str) -> None:
    for key, kind in _GQA_PARTS.items():
        value = record.get(key)
        if value is None:
            continue
        if type(value) is not kind:
            raise ResultError(f"{key}: found {_kind(value)}", where=where)
        parts = list(value.values()) if isinstance(value, dict) else value
        inner = parts if isinstance(parts, list) else []
        wrong = next((one for one in inner if not isinstance(one, str | None)), None)
        if wrong is not None:
            raise ResultError(f"{key}: expected strings, found {_kind(wrong)}", where=where)


def _gqa_question(key: str, record: dict[str, Any], where: str) -> Prediction:
    _check_gqa(record, where)
    kind = (record.get("types") or {}).get("structural") or ""
    return Prediction(
        question_id=key,
        image_id=take(record, "imageId", id_text, where),
        question_type=kind,
        answer_type=("open" if kind == "query" else "binary") if kind else "",
        answers=[take(record, "answer", plain_text, where)],
        question=_optional(record, "question", where),
    )


def _only(truth: Truth, split: str, holder: Path) -> Truth:
    kept = [item for item in truth.records if item.split == split]
    if not kept:
        found = ", ".join(sorted({item.split for item in truth.records if item.split})) or "none"
        raise ResultError(f"no question of split {split!r} (it has {found})", where=str(holder))
    return replace(truth, records=kept)


def _kind(value: Any) -> str:
    names = {
        dict: "an object",
        list: "a list",
        str: "a string",
        bool: "a boolean",
        type(None): "null",
    }
    return names.get(type(value), "a number")
