"""Visual7W telling (Zhu et al. 2016, arXiv 1511.03416): four choices in words a question.

    {"images": [{"image_id", "filename": "v7w_<id>.jpg", "split",
                 "qa_pairs": [{"qa_id", "question", "answer", "multiple_choices", "type"}]}]}

`multiple_choices` holds the wrong ones only. The pointing task answers with boxes and is refused.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, ClassVar

from vqa.data.record import BadRow, Example, ImageInput, Row
from vqa.data.sources.files import (
    Unusable,
    kind_of,
    mapping,
    read_json,
    row_of,
    scalar,
    text,
    texts,
)
from vqa.data.sources.given import check_there
from vqa.data.sources.layouts import another_layout, check_some, is_pointing
from vqa.data.sources.pictures import PictureFolder, number_of
from vqa.errors import DataError, InputError

_POINTING = "Visual7W pointing answers with boxes in the picture, not in words"


@dataclass(frozen=True)
class Visual7W:
    """Visual7W telling; `question_type` is what, where, when, who, why or how.

    The right choice is put among the wrong ones at a place drawn from the question's id, so that
    its place says nothing about it and is the same in every preparation.

    Args:
        files: dataset_v7w_telling.json, or several such files.
        images: the folder of pictures; without it rows point at no picture.
    """

    name: ClassVar[str] = "visual7w"
    files: tuple[Path, ...]
    images: Path | None = None

    def rows(self) -> Iterator[Row | BadRow]:
        """Yield every question, image by image in the published order.

        Raises:
            DataError: a file is unreadable or of another layout, pointing among them.
        """
        folder = None if self.images is None else PictureFolder(self.images)
        for file in self.files:
            for index, image in enumerate(_read(file)):
                yield from _image_rows(image, folder, f"{file}, image {index}")


def place_right(answer: str, wrong: list[str], question_id: str) -> tuple[list[str], int]:
    """The choices with the right one among them, and its place, drawn from the question's id.

    Raises:
        Unusable: no wrong choice, or the right one is among them.
    """
    if not wrong:
        raise Unusable("key 'multiple_choices': no wrong choice")
    if answer in wrong:
        raise Unusable(f"the right answer {answer!r} is among the wrong choices")
    place = Random(f"visual7w/{question_id}").randrange(len(wrong) + 1)
    return [*wrong[:place], answer, *wrong[place:]], place


def _read(file: Path) -> list[Any]:
    content = read_json(file)
    images = content.get("images") if isinstance(content, dict) else None
    if isinstance(images, list):
        check_some(file, images)
    first = images[0] if isinstance(images, list) else {}
    if not isinstance(images, list) or not isinstance(first, dict) or "qa_pairs" not in first:
        raise another_layout(file, "a Visual7W file", content, "dataset_v7w_telling.json")
    if content.get("dataset") == "visual7w-pointing" or is_pointing(first):
        raise DataError(_POINTING, where=str(file), fix="give dataset_v7w_telling.json")
    return images


def _image_rows(record: Any, folder: PictureFolder | None, where: str) -> Iterator[Row | BadRow]:
    try:
        image = mapping(record)
        image_id, split, picture = scalar(image, "image_id"), text(image, "split"), ImageInput()
        if folder is not None:
            picture = folder.find(text(image, "filename"), number_of(image_id))
        pairs = image.get("qa_pairs")
        if not isinstance(pairs, list):
            raise Unusable(f"key 'qa_pairs': a list was expected, not {kind_of(pairs)}")
    except Unusable as error:
        yield BadRow(where, str(error))
        return
    for index, pair in enumerate(pairs):
        place = f"{where}, pair {index}"
        yield row_of(place, _example, pair, image_id, split, picture)


def _example(
    found: Any, image_id: str, split: str, picture: ImageInput
) -> tuple[Example, ImageInput]:
    pair = mapping(found)
    question_id, answer = scalar(pair, "qa_id"), text(pair, "answer")
    if "image_id" in pair and scalar(pair, "image_id") != image_id:
        raise Unusable(f"image_id {pair['image_id']}, but its image has {image_id}")
    choices, label = place_right(answer, texts(pair, "multiple_choices"), question_id)
    example = Example(
        question_id=question_id,
        image_id=image_id,
        question=text(pair, "question"),
        answers=[answer],
        choices=choices,
        label=label,
        question_type=text(pair, "type") if "type" in pair else "",
        split=split,
    )
    return example, picture


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `vqa prepare visual7w`."""
    parser.description = "Visual7W telling: four choices in words a question; splits as published."
    parser.add_argument(
        "inputs", type=Path, nargs="+", metavar="FILE", help="dataset_v7w_telling.json"
    )
    parser.add_argument("--images", type=Path, metavar="DIR", help="folder of v7w_<id>.jpg")
    parser.add_argument(
        "--type",
        default="telling",
        metavar="TASK",
        help="telling, the only one with answers in words",
    )


def from_args(args: argparse.Namespace) -> Visual7W:
    """The source that the command line describes.

    Raises:
        InputError: the options do not fit together.
        DataError: a file is not there.
    """
    where = "vqa prepare visual7w"
    if args.type != "telling":
        what = _POINTING if args.type == "pointing" else f"no task {args.type!r}"
        raise InputError(what, where=where, fix="use --type telling")
    check_there(args.inputs)
    if args.images is None and not getattr(args, "text_only", False):
        raise InputError(
            "no --images", where=where, fix="give the folder of v7w_<id>.jpg, or --text-only"
        )
    return Visual7W(tuple(args.inputs), args.images)
