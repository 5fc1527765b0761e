"""The records of VQA's format, whichever file they stand in: questions and what people answered."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from sys import intern
from typing import Any, NamedTuple

from vqa.data.record import NO_LABEL, BadRow, Example, without_folders
from vqa.data.sources.files import Unusable, kind_of, mapping, text, texts

_SPLITS = {"valid": "val", "validation": "val"}
_ANSWER_KEYS = frozenset({"answer", "answer_id", "answer_confidence", "raw_answer"})


class Annotation(NamedTuple):
    """What is known of a question; `right` is the answer that most people gave."""

    where: str
    image_id: str
    question_type: str
    answer_type: str
    right: str | None
    answers: tuple[str, ...]


@dataclass(frozen=True)
class Annotations:
    """The annotations of one part, by question id; a `BadRow` stands for one that is unusable."""

    file: Path
    by_question: dict[str, Annotation | BadRow] = field(default_factory=dict)
    nameless: list[BadRow] = field(default_factory=list)

    def take(self, question_id: str) -> Annotation:
        """Remove and return the annotation of a question.

        Raises:
            Unusable: there is none, or it cannot be used.
        """
        found = self.by_question.pop(question_id, None)
        if found is None:
            raise Unusable(f"question {question_id} has no annotation in {self.file.name}")
        if isinstance(found, BadRow):
            raise Unusable(f"its annotation ({without_folders(found.where)}): {found.reason}")
        return found

    def left_over(self) -> Iterator[BadRow]:
        """Yield what belongs to no question."""
        yield from self.nameless
        for question_id, found in self.by_question.items():
            reason = f"annotation of question {question_id}, which is not among the questions"
            yield BadRow(found.where, reason)


def example_of(record: Any, annotations: Annotations | None, split: str, seen: set[str]) -> Example:
    """The example of a question, with what its annotation says; `seen` are the ids used before.

    Raises:
        Unusable: the record or its annotation cannot be used, or its id was used before.
    """
    record = mapping(record)
    question_id = identifier(record, "question_id")
    if question_id in seen:
        raise Unusable(f"question_id {question_id} was used before")
    seen.add(question_id)
    annotation = None if annotations is None else annotations.take(question_id)
    image_id = identifier(record, "image_id")
    question = text(record, "question")
    choices = texts(record, "multiple_choices") if "multiple_choices" in record else []
    if annotation is None:
        return Example(question_id, image_id, question, choices=choices, split=split)
    if annotation.image_id != image_id:
        raise Unusable(
            f"image_id {image_id}, but {annotation.image_id} in its annotation"
            f" ({without_folders(annotation.where)})"
        )
    return Example(
        question_id,
        image_id,
        question,
        answers=list(annotation.answers),
        choices=choices,
        label=_label(choices, annotation),
        question_type=annotation.question_type,
        answer_type=annotation.answer_type,
        split=split,
    )


def _label(choices: list[str], annotation: Annotation) -> int:
    if not choices:
        return NO_LABEL
    if annotation.right is None:
        place = without_folders(annotation.where)
        raise Unusable(f"its annotation ({place}) has no multiple_choice_answer")
    if annotation.right not in choices:
        raise Unusable(f"the right answer {annotation.right!r} is not among the choices")
    return choices.index(annotation.right)


def annotations_of(file: Path, records: Iterable[Any]) -> Annotations:
    """The annotations that the records of a file hold, by question."""
    annotations = Annotations(file)
    for index, record in enumerate(records):
        where = f"{file}, record {index}"
        try:
            question_id = identifier(mapping(record), "question_id")
        except Unusable as error:
            annotations.nameless.append(BadRow(where, str(error)))
            continue
        if question_id in annotations.by_question:
            reason = f"second annotation of question {question_id}"
            annotations.nameless.append(BadRow(where, reason))
        else:
            annotations.by_question[question_id] = _annotation(record, where)
    return annotations


def _annotation(record: Mapping[str, Any], where: str) -> Annotation | BadRow:
    try:
        return Annotation(
            where,
            identifier(record, "image_id"),
            intern(text(record, "question_type")) if "question_type" in record else "",
            intern(text(record, "answer_type")) if "answer_type" in record else "",
            text(record, "multiple_choice_answer") if "multiple_choice_answer" in record else None,
            _answers(record),
        )
    except Unusable as error:
        return BadRow(where, str(error))


def _answers(record: Mapping[str, Any]) -> tuple[str, ...]:
    answers = record.get("answers")
    if not isinstance(answers, list):
        raise Unusable(f"key 'answers': a list was expected, not {kind_of(answers)}")
    if not answers:
        raise Unusable("key 'answers': no answer")
    for position, answer in enumerate(answers):
        if not isinstance(answer, str):
            raise Unusable(f"key 'answers', entry {position}: no text under 'answer'")
    return tuple(answers)


def split_name(subtype: str) -> str:
    """The split that a `data_subtype` names.

    >>> [split_name(name) for name in ("train2014", "valid", "test-dev2015")]
    ['train', 'val', 'test-dev']
    """
    name = re.sub(r"\d{4}$", "", subtype)
    return _SPLITS.get(name, name)


def identifier(record: Mapping[str, Any], key: str) -> str:
    """The id under `key`, a whole number or text, as text.

    Raises:
        Unusable: missing, or of another kind.
    """
    value = record.get(key)
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise Unusable(f"key {key!r}: a whole number was expected, not {kind_of(value)}")
    return str(value)


def shrink_answer(entry: dict[str, Any]) -> Any:
    """An entry of `answers` becomes its text, kept once: 4.4 million objects would be 1 GB."""
    answer = entry.get("answer")
    return intern(answer) if isinstance(answer, str) and entry.keys() <= _ANSWER_KEYS else entry
