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
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any, ClassVar

from vqa.data.record import BadRow, Example, ImageInput, Row
from vqa.data.sources.files import kind_of, open_text, read_json, row_of
from vqa.data.sources.given import check_there
from vqa.data.sources.layouts import check_some, looks_like
from vqa.data.sources.pictures import Finder, finder, number_of
from vqa.data.sources.versions import check_pair, head, vqa_kin
from vqa.data.sources.vqa_records import (
    Annotations,
    annotations_of,
    example_of,
    shrink_answer,
    split_name,
)
from vqa.errors import DataError, InputError


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

    @property
    def version(self) -> str | None:
        """`1` or `2`, as the head of the first questions file says; None where it does not."""
        found = re.search(r'"version"\s*:\s*"?(\d+)', head(self.parts[0].questions))
        return found and found[1]

    @property
    def resembles(self) -> str | None:
        """What the annotations look like that are not VQA's own."""
        files = (part.annotations for part in self.parts if part.annotations is not None)
        return next(filter(None, map(vqa_kin, files)), None)

    def rows(self) -> Iterator[Row | BadRow]:
        """Yield every question in the published order, then the annotations that belong to none.

        Raises:
            DataError: a file is unreadable or of another layout, or a part's split has no name.
        """
        seen: set[str] = set()
        for part in self.parts:
            yield from _part_rows(part, seen)


@dataclass(frozen=True)
class _Pictures:
    """Where the picture of an image id lies."""

    prefix: str
    suffix: str
    find_named: Finder

    @classmethod
    def of(cls, part: Part, data_type: str, subtype: str) -> _Pictures:
        kind, suffix = ("COCO", ".jpg") if data_type == "mscoco" else (data_type, ".png")
        year = "" if re.search(r"\d{4}$", subtype) else "2014"
        subfolders = (subtype, f"{subtype}{year}", f"{kind}_{subtype}")
        return cls(f"{kind}_{subtype}{year}_", suffix, finder(part.images, subfolders))

    def find(self, image_id: str) -> ImageInput:
        number = number_of(image_id)
        name = image_id if number is None else f"{self.prefix}{number:012d}{self.suffix}"
        return self.find_named(name, number)


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
    annotations = (
        None if part.annotations is None else _annotations(part, part.annotations, content)
    )
    for index, record in enumerate(content["questions"]):
        where = f"{part.questions}, record {index}"
        yield row_of(where, _example, record, annotations, split, seen, pictures)
    if annotations is not None:
        yield from annotations.left_over()


def _example(
    record: Any, annotations: Annotations | None, split: str, seen: set[str], pictures: _Pictures
) -> tuple[Example, ImageInput]:
    example = example_of(record, annotations, split, seen)
    return example, pictures.find(example.image_id)


def _annotations(part: Part, file: Path, asked: Mapping[str, Any]) -> Annotations:
    """The annotations of a part; where its split is named by hand, the heads of its files are not relied on."""
    said = _read(file, "annotations")
    if part.split is None:
        check_pair(part.questions, asked, file, said)
    return annotations_of(file, said["annotations"])


def _header(content: Mapping[str, Any], key: str, file: Path) -> str:
    value = content.get(key, "")
    if not isinstance(value, str):
        raise DataError(f"{key}: text was expected, not {kind_of(value)}", where=str(file))
    return value


def _read(file: Path, key: str) -> dict[str, Any]:
    """The content of a file that has a list under `key` with VQA's records.

    Raises:
        DataError: unreadable, or another layout; the message says which.
    """
    content = read_json(file, object_hook=shrink_answer)
    entries = content.get(key) if isinstance(content, dict) else None
    first = entries[0] if isinstance(entries, list) and entries else {}
    foreign = isinstance(first, dict) and first.keys() & {"image_filename", "caption", "bbox"}
    if not isinstance(entries, list) or foreign:
        raise DataError(
            f"not a VQA {key} file; it looks like {looks_like(content)}",
            where=str(file),
            fix=f"--{key} takes an object with a list `{key}`",
        )
    check_some(file, entries)
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
        DataError: a file is not there.
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
    check_there([*questions, *annotations])
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
