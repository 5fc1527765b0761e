"""easy-VQA (vzhou842/easy-VQA): 64×64 pictures of one shape, 13 answers.

FOLDER/{train,test}/questions.json is a list of [question, answer, image number]; the picture is
FOLDER/{train,test}/images/<number>.png, and numbers start again in each split.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vqa.data.record import BadRow, Example, ImageInput, Row
from vqa.data.sources.files import Unusable, kind_of, read_json, row_of
from vqa.data.sources.layouts import another_layout, check_some, nothing_here
from vqa.data.sources.pictures import picture_in

SHAPES = {"circle", "rectangle", "triangle"}


@dataclass(frozen=True)
class EasyVQA:
    """The folder of easy-VQA. `question_type` is "yes/no", "shape" or "colour", from the answer.

    Args:
        folder: holds `train` and `test`.
        splits: which of them to read.
    """

    folder: Path
    splits: tuple[str, ...] = ("train", "test")

    def rows(self) -> Iterator[Row | BadRow]:
        """Yield every question, split by split.

        Raises:
            DataError: no split is here, or a file is unreadable or of another layout.
        """
        if not any((self.folder / split / "questions.json").is_file() for split in self.splits):
            raise nothing_here(
                self.folder, "no train/questions.json here", "give the folder of easy-VQA's data"
            )
        for split in self.splits:
            file = self.folder / split / "questions.json"
            content = read_json(file)
            if not isinstance(content, list):
                raise another_layout(file, "a list of questions", content, "train/questions.json")
            check_some(file, content)
            for index, record in enumerate(content):
                yield row_of(f"{file}, record {index}", self._example, record, split, index)

    def _example(self, record: Any, split: str, index: int) -> tuple[Example, ImageInput]:
        question, answer, number = _fields(record)
        folder = self.folder / split / "images"
        kind = question_type(answer)
        example = Example(
            question_id=f"{split}/{index}",
            image_id=f"{split}/{number}",
            question=question,
            answers=[answer],
            question_type=kind,
            answer_type="yes/no" if kind == "yes/no" else "other",
            split=split,
        )
        return example, picture_in(folder, f"{number}.png")


def question_type(answer: str) -> str:
    """What a question with this answer asks for."""
    if answer in ("yes", "no"):
        return "yes/no"
    return "shape" if answer in SHAPES else "colour"


def _fields(record: Any) -> tuple[str, str, int]:
    if not isinstance(record, list) or len(record) != 3:
        raise Unusable("[question, answer, image number] was expected")
    for value, kind in zip(record, (str, str, int), strict=True):
        if type(value) is not kind:
            raise Unusable(f"[question, answer, image number] was expected, not {kind_of(value)}")
    return record[0], record[1], record[2]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `vqa prepare easy-vqa`."""
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="holds train and test")


def from_args(args: argparse.Namespace) -> EasyVQA:
    """The source that the command line describes."""
    return EasyVQA(args.folder)
