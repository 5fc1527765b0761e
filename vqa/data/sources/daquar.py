"""DAQUAR (Malinowski and Fritz 2014, arXiv 1410.0210): questions of people about indoor pictures.

qa.894.raw.{train,test}.txt (full) and qa.37.raw.{train,test}.txt (reduced) alternate:

    what is on the left side of the fan and on the right of the lamp in the image3 ?
    photo, table

A question names its picture, IMAGES/image3.png; an answer is one word or several, with commas. The
pictures are those of NYU depth v2. Format: the files themselves, as public readers of them have it
(jacobandreas/nmn2, tasks/daquar.py; renmengye/imageqa-public).
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from vqa.data.record import BadRow, Example, ImageInput, Row
from vqa.data.sources.files import Unusable, all_lines, row_of
from vqa.data.sources.given import add_images, images_given
from vqa.data.sources.pictures import picture_in
from vqa.errors import DataError, InputError

_PICTURE = re.compile(r"\bimage(\d{1,18})\b")
_POINTER = re.compile(r"\s*(?:\b(?:in|on|of|at)\s+)?(?:\b(?:the|this)\s+)?\bimage\d+\b\s*(?=\?|$)")
_SPLIT = re.compile(r"\.(train|val|test)\.txt$")


@dataclass(frozen=True)
class Daquar:
    """DAQUAR, full or reduced. The words that name the picture ("in the image3") are left out.

    `answer_type` is "one word" or "several"; an answer of several is kept as it stands. DAQUAR has
    no question types of its own: `question_type` is number ("how many"), colour ("color") or object.

    Args:
        files: each with the name of its split.
        images: the folder of image<number>.png; without it rows point at no picture.
    """

    name: ClassVar[str] = "daquar"
    files: tuple[tuple[str, Path], ...]
    images: Path | None = None

    def rows(self) -> Iterator[Row | BadRow]:
        """Yield every question, file by file.

        Raises:
            DataError: a file is unreadable or has an odd number of lines.
        """
        for split, file in self.files:
            lines = all_lines(file)
            if len(lines) % 2:
                raise DataError(
                    f"{len(lines):,} lines, but questions and answers alternate",
                    where=str(file),
                    fix="get the file again (qa.894.raw.train.txt, qa.37.raw.train.txt, …)",
                )
            for index in range(0, len(lines), 2):
                pair = lines[index], lines[index + 1]
                where = f"{file}, line {index + 1}"
                yield row_of(where, self._example, *pair, split, index // 2)

    def _example(
        self, asked: str, answer: str, split: str, index: int
    ) -> tuple[Example, ImageInput]:
        named = _PICTURE.findall(asked)
        if not named:
            raise Unusable("the question names no picture (image<number>)")
        if not answer:
            raise Unusable("no answer")
        picture = f"image{named[-1]}"
        example = Example(
            question_id=f"{split}/{index}",
            image_id=picture,
            question=without_picture(asked),
            answers=[answer],
            question_type=_kind(asked),
            answer_type="several" if "," in answer else "one word",
            split=split,
        )
        return example, picture_in(self.images, f"{picture}.png")


def without_picture(question: str) -> str:
    """A question without the words that point at its picture.

    >>> without_picture("what is on the desk in the image3 ?")
    'what is on the desk ?'
    """
    return re.sub(r"\s+", " ", _POINTER.sub(" ", question)).strip()


def _kind(question: str) -> str:
    if question.startswith("how many"):
        return "number"
    return "colour" if re.search(r"\bcolou?rs?\b", question) else "object"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `vqa prepare daquar`."""
    parser.description = "DAQUAR, full or reduced: its files of questions and answers in turns."
    parser.add_argument("inputs", nargs="+", metavar="[SPLIT=]FILE", help="qa.894.raw.train.txt, …")
    add_images(parser, "folder of image<number>.png (nyu_depth_images)")


def from_args(args: argparse.Namespace) -> Daquar:
    """The source that the command line describes.

    Raises:
        InputError: a file whose split is not known, or no pictures.
    """
    return Daquar(tuple(_split_file(given) for given in args.inputs), images_given(args, "daquar"))


def _split_file(given: str) -> tuple[str, Path]:
    split, equals, rest = given.partition("=")
    if equals and not Path(given).exists():
        return split, Path(rest)
    name = _SPLIT.search(given)
    if name is None:
        raise InputError(
            "the file's name does not say which split it is", where=given, fix="write SPLIT=FILE"
        )
    return name[1], Path(given)
