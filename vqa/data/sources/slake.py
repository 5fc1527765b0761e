"""SLAKE (Liu et al. 2021, arXiv 2102.09542): questions about radiology, in English and Chinese.

    FOLDER/{train,validate,test}.json (validation.json in some copies):
    [{"img_name": "xmlab0/source.jpg", "question", "answer", "q_lang": "en", "qid", "modality",
      "location", "answer_type": "OPEN", "base_type": "vqa", "content_type": "Organ", …}]
    FOLDER/imgs/xmlab<number>/source.jpg

Format: the published files, as public readers of them have it.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from vqa.data.record import BadRow, Example, ImageInput, Row
from vqa.data.sources.files import Unusable, mapping, scalar, text
from vqa.data.sources.given import add_images, images_given
from vqa.data.sources.layouts import nothing_here, read_records
from vqa.data.sources.pictures import picture_in

FILES = (
    ("train", "train.json"),
    ("val", "validate.json"),
    ("val", "validation.json"),
    ("test", "test.json"),
)


@dataclass(frozen=True)
class Slake:
    """The folder of SLAKE; `answer_type` is closed or open, `question_type` the content type.

    Args:
        folder: holds train.json, validate.json, test.json.
        images: the folder of xmlab<number>; without it rows point at no picture.
        language: which questions: `en`, `zh` or `all`.
    """

    name: ClassVar[str] = "slake"
    folder: Path
    images: Path | None = None
    language: str = "en"

    def rows(self) -> Iterator[Row | BadRow]:
        """Yield the questions of the language, split by split.

        Raises:
            DataError: no file is here, or one is unreadable or of another layout.
        """
        files = [(s, self.folder / name) for s, name in FILES if (self.folder / name).is_file()]
        if not files:
            raise nothing_here(
                self.folder,
                "neither train.json, validate.json nor test.json here",
                "give the unpacked folder of SLAKE",
            )
        for split, file in files:
            for index, record in enumerate(_read(file)):
                where = f"{file}, record {index}"
                try:
                    entry = mapping(record)
                    if self.language in ("all", text(entry, "q_lang")):
                        yield Row(*self._example(entry, split), where)
                except Unusable as error:
                    yield BadRow(where, str(error))

    def _example(self, record: Mapping[str, Any], split: str) -> tuple[Example, ImageInput]:
        picture = text(record, "img_name")
        example = Example(
            question_id=scalar(record, "qid"),
            image_id=picture.rpartition("/")[0] or picture,
            question=text(record, "question"),
            answers=[scalar(record, "answer").strip()],
            question_type=text(record, "content_type") if "content_type" in record else "",
            answer_type=text(record, "answer_type").strip().lower(),
            split=split,
        )
        return example, picture_in(self.images, picture)


def _read(file: Path) -> list[Any]:
    return read_records(
        file, "a SLAKE file", {"img_name", "q_lang"}, "train.json, validate.json, test.json"
    )


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `vqa prepare slake`."""
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="holds train.json and imgs")
    add_images(parser, "folder of xmlab<number> (default: FOLDER/imgs)")
    parser.add_argument(
        "--language",
        choices=("en", "zh", "all"),
        default="en",
        help="of the questions (default en)",
    )


def from_args(args: argparse.Namespace) -> Slake:
    """The source that the command line describes.

    Raises:
        InputError: no pictures.
    """
    return Slake(args.folder, images_given(args, "slake", args.folder / "imgs"), args.language)
