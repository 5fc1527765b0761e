"""VizWiz (Gurari et al. 2018, arXiv 1802.08218): photographs and spoken questions of blind people.

    FOLDER/{train,val,test}.json: [{"image": "VizWiz_train_00000000.jpg", "question",
                                    "answers": [{"answer", "answer_confidence"}],
                                    "answer_type": "other", "answerable": 1}]

Ten answers a question, one question a picture; `test` has only image and question. Format:
vizwiz.org/tasks-and-datasets/vqa.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from vqa.data.record import BadRow, Example, ImageInput, Row
from vqa.data.sources.files import Unusable, kind_of, mapping, row_of, text
from vqa.data.sources.given import add_images, images_given
from vqa.data.sources.layouts import nothing_here, read_records
from vqa.data.sources.pictures import Finder, finder
from vqa.data.sources.versions import vizwiz_kin

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class VizWiz:
    """The folder of VizWiz's annotations, with ten answers a question.

    `answer_type` is other, yes/no, number or unanswerable; `question_type` is answerable or not
    ("" in the test split).

    Args:
        folder: holds train.json, val.json and test.json, or some of them.
        images: holds train, val and test, or the pictures themselves; without it rows point at no
            picture.
    """

    name: ClassVar[str] = "vizwiz"
    folder: Path
    images: Path | None = None

    @property
    def resembles(self) -> str | None:
        """What the first file looks like whose pictures are not named as published."""
        files = (self.folder / f"{split}.json" for split in SPLITS)
        return next(filter(None, map(vizwiz_kin, filter(Path.is_file, files))), None)

    def rows(self) -> Iterator[Row | BadRow]:
        """Yield every question, split by split.

        Raises:
            DataError: no split is here, or a file is unreadable or of another layout.
        """
        files = {split: self.folder / f"{split}.json" for split in SPLITS}
        here = {split: file for split, file in files.items() if file.is_file()}
        if not here:
            raise nothing_here(
                self.folder,
                "neither train.json, val.json nor test.json here",
                "give the unpacked folder Annotations",
            )
        for split, file in here.items():
            find = finder(self.images, (split,))
            for index, record in enumerate(_read(file)):
                yield row_of(f"{file}, record {index}", _example, record, split, find)


def _example(found: Any, split: str, find: Finder) -> tuple[Example, ImageInput]:
    record = mapping(found)
    picture = text(record, "image")
    example = Example(
        question_id=picture.rpartition(".")[0] or picture,
        image_id=picture,
        question=text(record, "question"),
        answers=_answers(record.get("answers", [])),
        question_type=_answerable(record.get("answerable")),
        answer_type=text(record, "answer_type") if "answer_type" in record else "",
        split=split,
    )
    return example, find(picture, None)


def _answers(answers: Any) -> list[str]:
    if not isinstance(answers, list):
        raise Unusable(f"key 'answers': a list was expected, not {kind_of(answers)}")
    return [text(mapping(answer), "answer") for answer in answers]


def _answerable(value: Any) -> str:
    if value is None:
        return ""
    if value not in (0, 1):
        raise Unusable("key 'answerable': 0 or 1 was expected")
    return "answerable" if value else "unanswerable"


def _read(file: Path) -> list[Any]:
    return read_records(
        file, "a VizWiz file", {"image", "question"}, "train.json, val.json, test.json"
    )


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `vqa prepare vizwiz`."""
    parser.add_argument(
        "folder", type=Path, metavar="FOLDER", help="holds train.json, val.json, test.json"
    )
    add_images(parser, "holds train, val and test")


def from_args(args: argparse.Namespace) -> VizWiz:
    """The source that the command line describes.

    Raises:
        InputError: no pictures.
    """
    return VizWiz(args.folder, images_given(args, "vizwiz"))
