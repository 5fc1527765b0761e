"""COCO-QA (Ren et al. 2015, arXiv 1505.02074): questions made from the captions of COCO pictures.

FOLDER/{train,test}/ has four files whose k-th lines belong together: questions.txt, answers.txt
(one word), img_ids.txt (COCO's number) and types.txt (0 object, 1 number, 2 colour, 3 location).
Pictures of `train` are of COCO train2014, those of `test` of val2014. The layout is that of
cocoqa-2015-05-17.zip, as public readers of it have it (jacobandreas/nmn2, tasks/cocoqa.py).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar

from vqa.data.record import BadRow, Example, ImageInput, Row
from vqa.data.sources.files import Unusable, parallel_lines, row_of
from vqa.data.sources.given import add_images, images_given
from vqa.data.sources.layouts import nothing_here
from vqa.data.sources.pictures import Finder, finder, number_of

FILES = ("questions.txt", "answers.txt", "img_ids.txt", "types.txt")
TYPES = ("object", "number", "colour", "location")
COCO: Mapping[str, str] = MappingProxyType({"train": "train2014", "test": "val2014"})
"""The folder of COCO that has a split's pictures."""


@dataclass(frozen=True)
class CocoQA:
    """The folder of COCO-QA. `question_type` is object, number, colour or location.

    Args:
        folder: holds `train` and `test`, or one of them.
        images: holds COCO's train2014 and val2014; without it rows point at no picture.
    """

    name: ClassVar[str] = "coco-qa"
    folder: Path
    images: Path | None = None

    def rows(self) -> Iterator[Row | BadRow]:
        """Yield every question, split by split.

        Raises:
            DataError: no split is here, or the files of one do not belong together.
        """
        splits = [s for s in COCO if any((self.folder / s / name).is_file() for name in FILES)]
        if not splits:
            raise nothing_here(
                self.folder,
                "no train/questions.txt here",
                "give the folder of the unpacked cocoqa-2015-05-17.zip",
            )
        for split in splits:
            yield from self._split(split)

    def _split(self, split: str) -> Iterator[Row | BadRow]:
        find = finder(self.images, (COCO[split],))
        files = [self.folder / split / name for name in FILES]
        for number, lines in parallel_lines(files):
            yield row_of(f"{files[0]}, line {number}", _example, lines, split, number, find)


def _example(lines: list[str], split: str, number: int, find: Finder) -> tuple[Example, ImageInput]:
    question, answer, image, kind = lines
    image_number = number_of(image)
    if image_number is None:
        raise Unusable(f"the image's number is {image[:40]!r}")
    if kind not in ("0", "1", "2", "3"):
        raise Unusable(f"the type is {kind[:40]!r}, 0 to 3 was expected")
    if not answer:
        raise Unusable("no answer")
    if len(answer.split()) > 1:
        raise Unusable(
            f"the answer is {answer[:40]!r}, and COCO-QA's are single words:"
            " are questions.txt and answers.txt exchanged?"
        )
    example = Example(
        question_id=f"{split}/{number - 1}",
        image_id=str(image_number),
        question=question,
        answers=[answer],
        question_type=TYPES[int(kind)],
        split=split,
    )
    return example, find(f"COCO_{COCO[split]}_{image_number:012d}.jpg", image_number)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `vqa prepare coco-qa`."""
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="holds train and test")
    add_images(parser, "folder of COCO's train2014 and val2014")


def from_args(args: argparse.Namespace) -> CocoQA:
    """The source that the command line describes.

    Raises:
        InputError: no pictures.
    """
    return CocoQA(args.folder, images_given(args, "coco-qa"))
