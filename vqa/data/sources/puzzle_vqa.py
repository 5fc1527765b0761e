"""PuzzleVQA (Chia et al. 2024, arXiv 2403.13315): abstract patterns, three or four options each.

FOLDER/<kind>.json is JSON Lines; options may be numbers and the answer is equal to one of them as
text. There is no official split; puzzles 0000 to 0079 of each kind train, 0080 to 0099 test.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vqa.data.record import BadRow, Example, ImageInput, Row
from vqa.data.sources.files import (
    Unusable,
    mapping,
    parsed,
    read_lines,
    row_of,
    scalar,
    text,
    texts,
)
from vqa.data.sources.layouts import nothing_here

TRAIN_PUZZLES = 80


@dataclass(frozen=True)
class PuzzleVQA:
    """The folder of PuzzleVQA. `question_type` is the kind of puzzle, the name of its file.

    Args:
        folder: holds the `<kind>.json` files and `images/`.
    """

    folder: Path

    def rows(self) -> Iterator[Row | BadRow]:
        """Yield every puzzle, kind by kind in alphabetical order.

        Raises:
            DataError: no kind is here, or a file is unreadable.
        """
        files = sorted(self.folder.glob("*.json"))
        if not files:
            raise nothing_here(
                self.folder, "no <kind>.json file here", "give the folder `data` of PuzzleVQA"
            )
        for file in files:
            for number, line in read_lines(file):
                yield row_of(f"{file}, line {number}", self._example, line, file.stem)

    def _example(self, line: str, kind: str) -> tuple[Example, ImageInput]:
        record = mapping(parsed(line))
        image, answer, choices = (
            text(record, "image"),
            scalar(record, "answer"),
            texts(record, "options"),
        )
        number = re.search(r"_(\d+)\.\w+$", image)
        if number is None:
            raise Unusable(f"no puzzle number in the image's name {image!r}")
        if answer not in choices:
            raise Unusable(f"the right answer {answer!r} is not among the options")
        example = Example(
            question_id=f"{kind}/{number[1]}",
            image_id=image.removeprefix("images/").rpartition(".")[0],
            question=text(record, "question"),
            answers=[answer],
            choices=choices,
            label=choices.index(answer),
            question_type=kind,
            split="train" if int(number[1]) < TRAIN_PUZZLES else "test",
        )
        return example, ImageInput(path=self.folder / image, root=self.folder / "images")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `vqa prepare puzzle-vqa`."""
    parser.add_argument(
        "folder", type=Path, metavar="FOLDER", help="holds the <kind>.json files and images"
    )


def from_args(args: argparse.Namespace) -> PuzzleVQA:
    """The source that the command line describes."""
    return PuzzleVQA(args.folder)
