"""VQA-CP v1 and v2 (Agrawal et al. 2018, arXiv 1712.00377): VQA with changed answer priors.

    vqacp_v2_{train,test}_questions.json: [{"question_id", "image_id", "question", "coco_split"}]
    vqacp_v2_{train,test}_annotations.json: [{"question_id", "image_id", "question_type",
                              "answer_type", "multiple_choice_answer", "answers", "coco_split"}]

Lists where VQA has objects; both splits mix pictures of COCO's train2014 and val2014, as
`coco_split` says of each. Format: the published files, as public readers of them have it
(Cadene/block.bootstrap.pytorch among others).
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from vqa.data.record import BadRow, Example, ImageInput, Row
from vqa.data.sources.files import Unusable, mapping, row_of, text
from vqa.data.sources.given import add_images, images_given
from vqa.data.sources.layouts import read_records
from vqa.data.sources.pictures import Finder, finder, number_of
from vqa.data.sources.vqa_records import Annotations, annotations_of, example_of, shrink_answer
from vqa.errors import DataError, InputError

COCO_SPLITS = ("train2014", "val2014")
_NAME = re.compile(r"vqacp_v(?P<version>[12])_(?P<split>train|test)_questions\.json(?:\.gz)?")


@dataclass(frozen=True)
class Part:
    """One split: its name and its two files."""

    split: str
    questions: Path
    annotations: Path


@dataclass(frozen=True)
class VQACP:
    """VQA-CP, with ten answers a question as in VQA.

    Args:
        parts: in the order in which they are to be stored.
        images: holds COCO's train2014 and val2014; without it rows point at no picture.
    """

    name: ClassVar[str] = "vqa-cp"
    parts: tuple[Part, ...]
    images: Path | None = None

    def rows(self) -> Iterator[Row | BadRow]:
        """Yield every question, then the annotations that belong to none.

        Raises:
            DataError: a file is unreadable or of another layout.
        """
        finders = {split: finder(self.images, (split,)) for split in COCO_SPLITS}
        seen: set[str] = set()
        for part in self.parts:
            annotations = annotations_of(part.annotations, _read(part.annotations, "annotations"))
            for index, record in enumerate(_read(part.questions, "questions")):
                where = f"{part.questions}, record {index}"
                about = record, annotations, part.split, seen
                yield row_of(where, self._example, *about, finders)
            yield from annotations.left_over()

    def _example(
        self,
        record: Any,
        annotations: Annotations,
        split: str,
        seen: set[str],
        finders: Mapping[str, Finder],
    ) -> tuple[Example, ImageInput]:
        example = example_of(record, annotations, split, seen)
        coco = text(mapping(record), "coco_split")
        if coco not in COCO_SPLITS:
            raise Unusable(f"key 'coco_split': {coco[:40]!r}, train2014 or val2014 was expected")
        if self.images is None:
            return example, ImageInput()
        number = number_of(example.image_id)
        if number is None:
            raise Unusable(f"image_id {example.image_id[:40]!r} is no number")
        return example, finders[coco](f"COCO_{coco}_{number:012d}.jpg", number)


def _read(file: Path, what: str) -> list[Any]:
    keys = {"question_id", "question" if what == "questions" else "answers"}
    fix = f"vqacp_v2_train_{what}.json"
    return read_records(file, f"a VQA-CP {what} file", keys, fix, object_hook=shrink_answer)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `vqa prepare vqa-cp`."""
    parser.description = (
        "VQA-CP v1 or v2: the questions files; the annotations lie beside them under their\n"
        "published names."
    )
    parser.add_argument(
        "inputs", type=Path, nargs="+", metavar="QUESTIONS", help="vqacp_v2_train_questions.json, …"
    )
    add_images(parser, "folder of COCO's train2014 and val2014")


def from_args(args: argparse.Namespace) -> VQACP:
    """The source that the command line describes.

    Raises:
        InputError: a file of another name, or no pictures.
        DataError: no annotations beside a file.
    """
    names = [_named(file) for file in args.inputs]
    other = next((i for i, name in enumerate(names) if name["version"] != names[0]["version"]), 0)
    if other:
        raise InputError(
            f"a file of VQA-CP v{names[other]['version']}, and {args.inputs[0]} is of v{names[0]['version']}",
            where=str(args.inputs[other]),
            fix="prepare each version as a store of its own: they share pictures and questions",
        )
    parts = tuple(_part(*pair) for pair in zip(args.inputs, names, strict=True))
    return VQACP(parts, images_given(args, "vqa-cp"))


def _named(questions: Path) -> re.Match[str]:
    name = _NAME.fullmatch(questions.name)
    if name is None:
        raise InputError(
            "the file's name does not say which split it is",
            where=str(questions),
            fix="give vqacp_v<1 or 2>_<train or test>_questions.json",
        )
    return name


def _part(questions: Path, name: re.Match[str]) -> Part:
    annotations = questions.with_name(questions.name.replace("_questions", "_annotations"))
    if questions.is_file() and not annotations.is_file():
        raise DataError("no such file", where=str(annotations), fix="it belongs to the questions")
    return Part(name["split"], questions, annotations)
