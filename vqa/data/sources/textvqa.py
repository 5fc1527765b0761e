"""TextVQA (Singh et al. 2019, arXiv 1904.08920): questions about the text in photographs.

    TextVQA_0.5.1_{train,val,test}.json:
    {"dataset_name", "dataset_version", "data": [{"question_id", "question", "image_id", "answers",
                                                 "set_name", "image_classes", …}]}

Ten answers a question; `test` has none. Pictures are <image_id>.jpg, those of train and val in one
folder (train_images), those of test in another (test_images). Format: textvqa.org/dataset.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from vqa.data.record import BadRow, Example, ImageInput, Row
from vqa.data.sources.files import mapping, row_of, scalar, text, texts
from vqa.data.sources.given import add_images, images_given
from vqa.data.sources.layouts import read_records
from vqa.data.sources.pictures import Finder, finder
from vqa.data.sources.versions import textvqa_kin

FOLDERS = ("train_images", "test_images")


@dataclass(frozen=True)
class TextVQA:
    """TextVQA, with ten answers a question.

    Args:
        files: TextVQA_<version>_<split>.json, in the order in which they are to be stored.
        images: the folder of train_images and test_images, or of the pictures themselves; without
            it rows point at no picture.
    """

    name: ClassVar[str] = "textvqa"
    files: tuple[Path, ...]
    images: Path | None = None

    @property
    def resembles(self) -> str | None:
        """What the files look like, where they are of another version."""
        return next(filter(None, map(textvqa_kin, self.files)), None)

    def rows(self) -> Iterator[Row | BadRow]:
        """Yield every question, file by file.

        Raises:
            DataError: a file is unreadable or of another layout.
        """
        find = finder(self.images, FOLDERS)
        for file in self.files:
            for index, record in enumerate(_read(file)):
                yield row_of(f"{file}, record {index}", _example, record, find)


def _example(found: Any, find: Finder) -> tuple[Example, ImageInput]:
    record = mapping(found)
    example = Example(
        question_id=scalar(record, "question_id"),
        image_id=text(record, "image_id"),
        question=text(record, "question"),
        answers=texts(record, "answers") if record.get("answers") else [],
        split=text(record, "set_name"),
    )
    return example, find(f"{example.image_id}.jpg", None)


def _read(file: Path) -> list[Any]:
    return read_records(
        file, "a TextVQA file", {"set_name", "image_id"}, "TextVQA_0.5.1_<split>.json", under="data"
    )


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `vqa prepare textvqa`."""
    parser.add_argument(
        "inputs", type=Path, nargs="+", metavar="FILE", help="TextVQA_0.5.1_train.json, …"
    )
    add_images(parser, "holds train_images and test_images")


def from_args(args: argparse.Namespace) -> TextVQA:
    """The source that the command line describes.

    Raises:
        InputError: no pictures.
    """
    return TextVQA(tuple(args.inputs), images_given(args, "textvqa"))
