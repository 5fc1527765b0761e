"""VQA-RAD (Lau et al. 2018, doi 10.1038/sdata.2018.251): questions of clinicians about radiology.

    "VQA_RAD Dataset Public.json": [{"qid", "image_name", "image_organ", "question", "answer",
                                     "question_type": "PRES", "answer_type": "CLOSED",
                                     "phrase_type": "freeform", …}]

A question whose phrase type begins with `test_` belongs to the test split, every other to train;
trainset.json and testset.json, in which the set is passed on too, have the same keys. The format
stands in the readme beside the published file (osf.io/89kps).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from vqa.data.record import BadRow, Example, ImageInput, Row
from vqa.data.sources.files import Unusable, mapping, row_of, scalar, text
from vqa.data.sources.given import add_images, images_given
from vqa.data.sources.layouts import read_records
from vqa.data.sources.pictures import picture_in

TEST = "test_"
PHRASES = ("freeform", "para", "test_freeform", "test_para")
"""The published ones; an unknown one would hide which split its question belongs to."""


@dataclass(frozen=True)
class VQARad:
    """VQA-RAD; `answer_type` is closed or open, as published.

    `question_type` is the published one (PRES, ABN, MODALITY, …; several with commas), or how the
    question was phrased: freeform or para.

    Args:
        files: the published file, or trainset.json and testset.json.
        images: the folder of pictures; without it rows point at no picture.
        phrases: whether `question_type` is the phrase type.
    """

    name: ClassVar[str] = "vqa-rad"
    files: tuple[Path, ...]
    images: Path | None = None
    phrases: bool = False

    def rows(self) -> Iterator[Row | BadRow]:
        """Yield every question, file by file.

        Raises:
            DataError: a file is unreadable or of another layout.
        """
        for file in self.files:
            for index, record in enumerate(_read(file)):
                yield row_of(f"{file}, record {index}", self._example, record)

    def _example(self, found: Any) -> tuple[Example, ImageInput]:
        record = mapping(found)
        picture, phrase = text(record, "image_name"), text(record, "phrase_type").strip()
        if phrase not in PHRASES:
            raise Unusable(f"key 'phrase_type': {phrase[:40]!r} is none of {', '.join(PHRASES)}")
        kind = text(record, "question_type").strip() if "question_type" in record else ""
        example = Example(
            question_id=scalar(record, "qid"),
            image_id=picture,
            question=text(record, "question"),
            answers=[scalar(record, "answer").strip()],
            question_type=phrase.removeprefix(TEST) if self.phrases else kind,
            answer_type=text(record, "answer_type").strip().lower(),
            split="test" if phrase.startswith(TEST) else "train",
        )
        return example, picture_in(self.images, picture)


def _read(file: Path) -> list[Any]:
    return read_records(
        file, "a VQA-RAD file", {"image_name", "phrase_type"}, "VQA_RAD Dataset Public.json"
    )


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `vqa prepare vqa-rad`."""
    parser.add_argument(
        "inputs", type=Path, nargs="+", metavar="FILE", help="VQA_RAD Dataset Public.json"
    )
    add_images(parser, "folder of its pictures (VQA_RAD Image Folder)")
    parser.add_argument(
        "--phrases", action="store_true",
        help="question types: how a question was phrased (freeform, para), not what it asks for",
    )  # fmt: skip


def from_args(args: argparse.Namespace) -> VQARad:
    """The source that the command line describes.

    Raises:
        InputError: no pictures.
    """
    return VQARad(tuple(args.inputs), images_given(args, "vqa-rad"), args.phrases)
