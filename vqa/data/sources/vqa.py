"""VQA v1 and v2 (Antol et al. 2015, arXiv 1505.00468; Goyal et al. 2017, arXiv 1612.00837).

A part is a questions file and, unless its answers are withheld, an annotations file:

    {"data_type", "data_subtype", "questions": [{"question_id", "image_id", "question"}]}
    {"annotations": [{"question_id", "image_id", "question_type", "answer_type",
                      "multiple_choice_answer", "answers": [{"answer"}]}]}

The questions of v1's multiple-choice task have 18 `multiple_choices` too. Pictures are named
COCO_<data_subtype>_<image_id, 12 digits>.jpg, those of abstract scenes <data_type>_<…>.png.
"""

from __future__ import annotations

import argparse
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from sys import intern
from typing import Any, ClassVar, NamedTuple

from vqa.data.record import NO_LABEL, BadRow, Example, ImageInput, Row
from vqa.data.sources.files import Unusable, kind_of, mapping, open_text, read_json, text, texts
from vqa.data.sources.folder import PictureFolder, number_of
from vqa.data.sources.layouts import looks_like
from vqa.errors import DataError, InputError

_ANSWER_KEYS = frozenset({"answer", "answer_id", "answer_confidence"})
_SPLITS = {"valid": "val", "validation": "val"}


@dataclass(frozen=True)
class Part:
    """One split: its files, the folder of its pictures, its name where the file's is not wanted."""

    questions: Path
    annotations: Path | None = None
    images: Path | None = None
    split: str | None = None


@dataclass(frozen=True)
class VQA:
    """Questions in the format of VQA v1 and v2, open-ended and multiple choice.

    `label` is the position of `multiple_choice_answer` among the choices. Without an annotations
    file a part has no answers and no labels. Without `images` its rows point at no picture.

    Args:
        parts: in the order in which they are to be stored.
    """

    name: ClassVar[str] = "vqa"
    parts: Sequence[Part]

    def rows(self) -> Iterator[Row | BadRow]:
        """Yield every question in the published order, then the annotations that belong to none.

        Raises:
            DataError: a file is unreadable or of another layout, or a part's split has no name.
        """
        seen: set[str] = set()
        for part in self.parts:
            yield from _part_rows(part, seen)


class _Annotation(NamedTuple):
    where: str
    image_id: str
    question_type: str
    answer_type: str
    right: str | None
    answers: tuple[str, ...]


@dataclass(frozen=True)
class _Annotations:
    """The annotations of one part, by question id; a `BadRow` stands for one that is unusable."""

    file: Path
    by_question: dict[str, _Annotation | BadRow] = field(default_factory=dict)
    nameless: list[BadRow] = field(default_factory=list)

    def take(self, question_id: str) -> _Annotation:
        """Remove and return the annotation of a question.

        Raises:
            Unusable: there is none, or it cannot be used.
        """
        found = self.by_question.pop(question_id, None)
        if found is None:
            raise Unusable(f"question {question_id} has no annotation in {self.file}")
        if isinstance(found, BadRow):
            raise Unusable(f"its annotation ({found.where}): {found.reason}")
        return found

    def left_over(self) -> Iterator[BadRow]:
        """Yield what belongs to no question."""
        yield from self.nameless
        for question_id, found in self.by_question.items():
            reason = f"annotation of question {question_id}, which is not among the questions"
            yield BadRow(found.where, reason)


@dataclass(frozen=True)
class _Pictures:
    """Where the picture of an image id lies."""

    prefix: str
    suffix: str
    folder: PictureFolder | None

    @classmethod
    def of(cls, part: Part, data_type: str, subtype: str) -> _Pictures:
        kind, suffix = ("COCO", ".jpg") if data_type == "mscoco" else (data_type, ".png")
        year = "" if re.search(r"\d{4}$", subtype) else "2014"
        subfolders = (subtype, f"{subtype}{year}", f"{kind}_{subtype}")
        folder = None if part.images is None else PictureFolder(part.images, subfolders)
        return cls(f"{kind}_{subtype}{year}_", suffix, folder)

    def find(self, image_id: str) -> ImageInput:
        if self.folder is None:
            return ImageInput()
        number = number_of(image_id)
        if number is None:
            return self.folder.find(image_id, None)
        return self.folder.find(f"{self.prefix}{number:012d}{self.suffix}", number)


def split_name(subtype: str) -> str:
    """The split that a `data_subtype` names.

    >>> [split_name(name) for name in ("train2014", "valid", "test-dev2015")]
    ['train', 'val', 'test-dev']
    """
    name = re.sub(r"\d{4}$", "", subtype)
    return _SPLITS.get(name, name)


def _part_rows(part: Part, seen: set[str]) -> Iterator[Row | BadRow]:
    content = _read(part.questions, "questions")
    subtype = _header(content, "data_subtype", part.questions)
    data_type = _header(content, "data_type", part.questions) or "mscoco"
    split = part.split or split_name(subtype)
    if not split:
        raise DataError(
            "it has no `data_subtype` to name its split",
            where=str(part.questions),
            fix="name it with --split",
        )
    pictures = _Pictures.of(part, data_type, subtype)
    annotations = None if part.annotations is None else _read_annotations(part.annotations)
    for index, record in enumerate(content["questions"]):
        where = f"{part.questions}, record {index}"
        try:
            example = _example(record, annotations, split, seen)
        except Unusable as error:
            yield BadRow(where, str(error))
        else:
            yield Row(example, pictures.find(example.image_id), where)
    if annotations is not None:
        yield from annotations.left_over()


def _example(record: Any, annotations: _Annotations | None, split: str, seen: set[str]) -> Example:
    record = mapping(record)
    question_id = _identifier(record, "question_id")
    if question_id in seen:
        raise Unusable(f"question_id {question_id} was used before")
    seen.add(question_id)
    annotation = None if annotations is None else annotations.take(question_id)
    image_id = _identifier(record, "image_id")
    question = text(record, "question")
    choices = texts(record, "multiple_choices") if "multiple_choices" in record else []
    if annotation is None:
        return Example(question_id, image_id, question, choices=choices, split=split)
    if annotation.image_id != image_id:
        raise Unusable(
            f"image_id {image_id}, but {annotation.image_id} in its annotation ({annotation.where})"
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


def _label(choices: list[str], annotation: _Annotation) -> int:
    if not choices:
        return NO_LABEL
    if annotation.right is None:
        raise Unusable(f"its annotation ({annotation.where}) has no multiple_choice_answer")
    if annotation.right not in choices:
        raise Unusable(f"the right answer {annotation.right!r} is not among the choices")
    return choices.index(annotation.right)


def _read_annotations(file: Path) -> _Annotations:
    annotations = _Annotations(file)
    for index, record in enumerate(_read(file, "annotations")["annotations"]):
        where = f"{file}, record {index}"
        try:
            question_id = _identifier(mapping(record), "question_id")
        except Unusable as error:
            annotations.nameless.append(BadRow(where, str(error)))
            continue
        if question_id in annotations.by_question:
            reason = f"second annotation of question {question_id}"
            annotations.nameless.append(BadRow(where, reason))
        else:
            annotations.by_question[question_id] = _annotation(record, where)
    return annotations


def _annotation(record: Mapping[str, Any], where: str) -> _Annotation | BadRow:
    try:
        return _Annotation(
            where,
            _identifier(record, "image_id"),
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


def _identifier(record: Mapping[str, Any], key: str) -> str:
    value = record.get(key)
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise Unusable(f"key {key!r}: a whole number was expected, not {kind_of(value)}")
    return str(value)


def _header(content: Mapping[str, Any], key: str, file: Path) -> str:
    value = content.get(key, "")
    if not isinstance(value, str):
        raise DataError(f"{key}: text was expected, not {kind_of(value)}", where=str(file))
    return value


def _shrink_answer(entry: dict[str, Any]) -> Any:
    """An entry of `answers` becomes its text, kept once: 4.4 million objects would be 1 GB."""
    answer = entry.get("answer")
    return intern(answer) if isinstance(answer, str) and entry.keys() <= _ANSWER_KEYS else entry


def _read(file: Path, key: str) -> dict[str, Any]:
    """The content of a file that has a list under `key` with VQA's records.

    Raises:
        DataError: unreadable, or another layout; the message says which.
    """
    content = read_json(file, object_hook=_shrink_answer)
    entries = content.get(key) if isinstance(content, dict) else None
    first = entries[0] if isinstance(entries, list) and entries else {}
    foreign = isinstance(first, dict) and first.keys() & {"image_filename", "caption", "bbox"}
    if not isinstance(entries, list) or foreign:
        raise DataError(
            f"not a VQA {key} file; it looks like {looks_like(content)}",
            where=str(file),
            fix=f"--{key} takes an object with a list `{key}`",
        )
    return dict(content)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `vqa prepare vqa`."""
    parser.description = (
        "VQA v1 and v2: open-ended, and v1's multiple choice. Give each option once per split; files\n"
        "given without an option are told apart by their content. The k-th --annotations belongs to\n"
        "the k-th --questions, so a split whose answers are withheld comes last."
    )
    parser.epilog = (
        "example: vqa prepare vqa --questions train_q.json --annotations train_a.json\n"
        "         --questions val_q.json.gz --annotations val_a.json.gz --images coco --to STORE"
    )
    repeat: dict[str, Any] = {"action": "extend", "nargs": "+", "default": []}
    parser.add_argument(
        "inputs", type=Path, nargs="*", metavar="INPUT", help="questions and annotations files"
    )
    parser.add_argument(
        "--questions", type=Path, metavar="FILE", **repeat,
        help="questions file (.json, .json.gz), with multiple_choices or without",
    )  # fmt: skip
    parser.add_argument(
        "--annotations", type=Path, metavar="FILE", **repeat, help="annotations file of each"
    )
    parser.add_argument(
        "--images", type=Path, metavar="DIR", **repeat,
        help="folder of the pictures, or of train2014, val2014, …: one for all splits, or one each",
    )  # fmt: skip
    parser.add_argument(
        "--split", metavar="NAME", **repeat,
        help="name of each split (default: data_subtype without its year; valid is val)",
    )  # fmt: skip


def from_args(args: argparse.Namespace) -> VQA:
    """The source that the command line describes.

    Raises:
        InputError: the options do not fit together.
    """
    questions, annotations = _told_apart(args)
    count = len(questions)
    if not questions:
        raise InputError(
            "no questions file", where="vqa prepare vqa", fix="give --questions FILE, see --help"
        )
    for option, given in (("annotations", annotations), ("split", args.split)):
        if len(given) > count:
            raise InputError(f"more --{option} than --questions", where="vqa prepare vqa")
    if not args.images and not getattr(args, "text_only", False):
        raise InputError(
            "no --images",
            where="vqa prepare vqa",
            fix="give the folder of the pictures, or --text-only",
        )
    if len(args.images) not in (0, 1, count):
        raise InputError(
            f"{len(args.images)} --images for {count} --questions",
            where="vqa prepare vqa",
            fix="give one for all splits or one each",
        )
    folders = args.images * count if len(args.images) == 1 else args.images
    parts = zip_longest(questions, annotations, folders, args.split)
    return VQA([Part(*part) for part in parts])


def _told_apart(args: argparse.Namespace) -> tuple[list[Path], list[Path]]:
    questions, annotations = list(args.questions), list(args.annotations)
    for file in args.inputs:
        (annotations if _is_annotations(file) else questions).append(file)
    return questions, annotations


def _is_annotations(file: Path) -> bool:
    """Whether the list of annotations begins within the first 64 kB, which is soon to read."""
    try:
        with open_text(file) as opened:
            return re.search(r'"annotations"\s*:\s*\[', opened.read(1 << 16)) is not None
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise DataError(f"unreadable ({error})", where=str(file)) from error
