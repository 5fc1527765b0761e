"""CLEVR (Johnson et al. 2017, arXiv 1612.06890): rendered scenes, questions with programs, 28 answers.

    FOLDER/questions/CLEVR_{train,val,test}_questions.json:
    {"info", "questions": [{"split", "image_filename", "question", "answer", "question_index",
                            "question_family_index",
                            "program": [{"function", "inputs", "value_inputs"}]}]}
    FOLDER/images/{train,val,test}/CLEVR_<split>_<6 digits>.png

The test split has neither answers nor programs. CoGenT has the splits trainA, valA, valB, testA,
testB in the same layout; questions of people (CLEVR-Humans) have no programs. The format stands in
the README of the published archive; files of the public generator call a function `type`.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from sys import intern
from types import MappingProxyType
from typing import Any, ClassVar, Literal

from vqa.data.record import BadRow, Example, ImageInput, Row
from vqa.data.sources.files import (
    Unusable,
    kind_of,
    mapping,
    read_json,
    row_of,
    scalar,
    text,
    whole,
)
from vqa.data.sources.given import add_images, images_given
from vqa.data.sources.layouts import another_layout, check_some, nothing_here
from vqa.data.sources.pictures import picture_in
from vqa.data.sources.versions import clevr_kin

Types = Literal["function", "family"]
SPLITS = ("train", "trainA", "val", "valA", "valB", "test", "testA", "testB")
ATTRIBUTES = ("size", "color", "material", "shape")
GROUPS: Mapping[str, str] = MappingProxyType(
    {
        "exist": "exist",
        "count": "count",
        **dict.fromkeys(("equal_integer", "less_than", "greater_than"), "compare integer"),
        **{f"query_{name}": "query attribute" for name in ATTRIBUTES},
        **{f"equal_{name}": "compare attribute" for name in ATTRIBUTES},
    }
)
"""The five kinds of question in the paper's table, by the last function of the program."""


@dataclass(frozen=True)
class Clevr:
    """CLEVR; `question_type` is the program's last function, `answer_type` one of five groups.

    Ids are "<split>/<question_index>", for numbers begin again in each split.

    Args:
        files: CLEVR_<split>_questions.json, in the order in which they are to be stored.
        images: the folder of a folder a split; without it rows point at no picture.
        types: what `question_type` is: `function`, or `family` for the template ("family 07").
    """

    name: ClassVar[str] = "clevr"
    files: tuple[Path, ...]
    images: Path | None = None
    types: Types = "function"

    @property
    def resembles(self) -> str | None:
        """What the files look like that are not CLEVR's own."""
        return next(filter(None, map(clevr_kin, self.files)), None)

    def rows(self) -> Iterator[Row | BadRow]:
        """Yield every question, file by file.

        Raises:
            DataError: a file is unreadable or of another layout.
        """
        for file in self.files:
            for index, record in enumerate(_read(file)):
                yield row_of(f"{file}, record {index}", self._example, record, index)

    def _example(self, found: Any, index: int) -> tuple[Example, ImageInput]:
        record = mapping(found)
        split, picture = text(record, "split"), text(record, "image_filename")
        number = whole(record, "question_index") if "question_index" in record else index
        function = _last_function(record)
        example = Example(
            question_id=f"{split}/{number}",
            image_id=picture.rpartition(".")[0] or picture,
            question=text(record, "question"),
            answers=[scalar(record, "answer")] if "answer" in record else [],
            question_type=_family(record) if self.types == "family" else function,
            answer_type=GROUPS.get(function, ""),
            split=split,
        )
        return example, picture_in(self.images, Path(split) / picture)


def _last_function(record: Mapping[str, Any]) -> str:
    """The function that gives the answer; "" where there is no program."""
    program = record.get("program")
    if program is None:
        return ""
    if not isinstance(program, list) or not program:
        raise Unusable(f"key 'program': a list of functions was expected, not {kind_of(program)}")
    if not isinstance(program[-1], str):
        raise Unusable("key 'program': its last function has no name or no inputs")
    return program[-1]


def _family(record: Mapping[str, Any]) -> str:
    if "question_family_index" not in record:
        return ""
    return f"family {whole(record, 'question_family_index'):02d}"


def _shrink(entry: dict[str, Any]) -> Any:
    """A function of a program becomes its name, kept once: eight million objects would be 5 GB."""
    name = entry.get("function", entry.get("type"))
    return intern(name) if "inputs" in entry and isinstance(name, str) else entry


def _read(file: Path) -> list[Any]:
    content = read_json(file, object_hook=_shrink)
    questions = content.get("questions") if isinstance(content, dict) else None
    first = questions[0] if isinstance(questions, list) and questions else None
    if not isinstance(questions, list) or (
        isinstance(first, dict) and "image_filename" not in first
    ):
        raise another_layout(
            file, "a CLEVR questions file", content, "CLEVR_<split>_questions.json"
        )
    check_some(file, questions)
    return questions


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `vqa prepare clevr`."""
    parser.description = (
        "CLEVR and CoGenT: the published folder, or its questions files. The test split has no\n"
        "answers; it is stored without, to be predicted."
    )
    parser.add_argument(
        "inputs", type=Path, nargs="+", metavar="INPUT", help="CLEVR_v1.0, or questions files"
    )
    add_images(parser, "folder of a folder of pictures a split (default: FOLDER/images)")
    parser.add_argument(
        "--types", choices=("function", "family"), default="function",
        help="question types: the program's last function, or the template family",
    )  # fmt: skip


def from_args(args: argparse.Namespace) -> Clevr:
    """The source that the command line describes.

    Raises:
        InputError: no questions file in a folder, or no pictures.
    """
    folders = [path for path in args.inputs if path.is_dir()]
    default = folders[0] / "images" if folders else None
    files = [file for path in args.inputs for file in _question_files(path)]
    return Clevr(tuple(files), images_given(args, "clevr", default), args.types)


def _question_files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    names = [f"CLEVR_{split}_questions.json" for split in SPLITS]
    found = [path / "questions" / name for name in names if (path / "questions" / name).exists()]
    if not found:
        raise nothing_here(
            path,
            "no questions/CLEVR_<split>_questions.json here",
            "give the unpacked CLEVR_v1.0, or the questions files",
        )
    return found
