"""NLVR (Suhr et al. 2017): a sentence about three boxes of shapes, true or false.

    FOLDER/{train,dev,test}/<split>.json, an object a line:
    {"identifier": "72-0", "sentence", "label": "true", "directory": "5", "structured_rep", "evals"}
    FOLDER/<split>/images/<directory>/<split>-<identifier>-<k>.png, k from 0 to 5

The six pictures of an identifier show the same boxes in every order; each is an example. The format
stands in the README of the data set's repository (lil-lab/nlvr, nlvr/).
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

from vqa.data.record import BadRow, Example, Row
from vqa.data.sources.files import Unusable, as_text, mapping, parsed, read_lines, scalar, text
from vqa.data.sources.layouts import nothing_here
from vqa.data.sources.pictures import picture_in
from vqa.errors import DataError

SPLITS = ("train", "dev", "test")
ORDERS = 6
_IDENTIFIER = re.compile(r"\d{1,9}-\d")
_DIRECTORY = re.compile(r"\d{1,9}")
NLVR2_FILES = ("train.json", "dev.json", "test1.json", "test2.json")
_PHOTOGRAPHS = re.compile(r'"(?:left|right)_url"\s*:')
_FIX = "give the folder `nlvr` of the data set's repository"


@dataclass(frozen=True)
class NLVR:
    """The folder of NLVR. Answers are true and false; `question_type` is tower or scatter.

    In a scatter a box holds objects anywhere; in a tower they are squares on each other. The files
    do not say which; `structured_rep` shows it ("" where there is none).

    Args:
        folder: holds train, dev and test.
        orders: how many of the six pictures of a sentence are taken.
        pictures: whether rows point at pictures.
    """

    name: ClassVar[str] = "nlvr"
    folder: Path
    orders: int = ORDERS
    pictures: bool = True

    def rows(self) -> Iterator[Row | BadRow]:
        """Yield every picture with its sentence, split by split.

        Raises:
            DataError: no split is here, or a file is unreadable or of NLVR2.
        """
        files = {split: self.folder / split / f"{split}.json" for split in SPLITS}
        here = {split: file for split, file in files.items() if file.is_file()}
        if not here:
            raise self._nothing_here()
        for split, file in here.items():
            for number, line in read_lines(file):
                yield from self._line(line, split, f"{file}, line {number}", file)

    def _nothing_here(self) -> DataError:
        files = (file for file in map(self.folder.joinpath, NLVR2_FILES) if file.is_file())
        lines = (line for file in files for _, line in islice(read_lines(file), 1))
        if any(map(_PHOTOGRAPHS.search, lines)):
            return _is_nlvr2(self.folder)
        return nothing_here(self.folder, "no <split>/<split>.json here", _FIX)

    def _line(self, line: str, split: str, where: str, file: Path) -> Iterator[Row | BadRow]:
        try:
            record = mapping(parsed(line))
            if _is_of_nlvr2(record):
                raise _is_nlvr2(file)
            yield from self._rows(record, split, where)
        except Unusable as error:
            yield BadRow(where, str(error))

    def _rows(self, record: Mapping[str, Any], split: str, where: str) -> list[Row]:
        name = f"{split}-{_named(record, 'identifier', _IDENTIFIER)}"
        root = self.folder / split / "images"
        folder = _named(record, "directory", _DIRECTORY)
        question, answers, kind = text(record, "sentence"), _label(record), _layout(record)
        rows = []
        for order in range(self.orders):
            picture = f"{name}-{order}"
            example = Example(
                question_id=picture,
                image_id=picture,
                question=question,
                answers=answers,
                question_type=kind,
                answer_type="yes/no",
                split=split,
            )
            image = picture_in(root if self.pictures else None, f"{folder}/{picture}.png")
            rows.append(Row(example, image, where))
        return rows


def _named(record: Mapping[str, Any], key: str, pattern: re.Pattern[str]) -> str:
    """The value under a key that becomes a part of a path."""
    value = scalar(record, key)
    if not pattern.fullmatch(value):
        raise Unusable(f"key {key!r}: {value[:40]!r} names no picture")
    return value


def _label(record: Mapping[str, Any]) -> list[str]:
    """The answer; none where labels are withheld."""
    if record.get("label") is None:
        return []
    label = as_text(record["label"], "label").lower()
    if label not in ("true", "false"):
        raise Unusable(f"key 'label': {label[:40]!r}, true or false was expected")
    return [label]


def _layout(record: Mapping[str, Any]) -> str:
    """Whether every object is a block of a tower: a square of size 20 in the middle of its box."""
    boxes = record.get("structured_rep")
    if not isinstance(boxes, list):
        return ""
    things = [thing for box in boxes if isinstance(box, list) for thing in box]
    return "tower" if all(_is_block(thing) for thing in things) else "scatter"


def _is_block(thing: Any) -> bool:
    return isinstance(thing, dict) and (
        (thing.get("type"), thing.get("size"), thing.get("x_loc")) == ("square", 20, 40)
    )


def _is_of_nlvr2(record: Mapping[str, Any]) -> bool:
    named = "directory" not in record and str(record.get("identifier", "")).count("-") == 3
    return named or not record.keys().isdisjoint({"left_url", "right_url"})


def _is_nlvr2(place: Path) -> DataError:
    return DataError(
        "this is NLVR2 (a sentence about two photographs), not NLVR",
        where=str(place),
        fix=_FIX,
    )


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `vqa prepare nlvr`."""
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="holds train, dev and test")
    parser.add_argument(
        "--orders", type=int, choices=range(1, ORDERS + 1), default=ORDERS,
        help="how many of the six pictures of a sentence to take (default and published: 6)",
    )  # fmt: skip


def from_args(args: argparse.Namespace) -> NLVR:
    """The source that the command line describes."""
    return NLVR(args.folder, args.orders, not getattr(args, "text_only", False))
