"""SHAPES (Andreas et al. 2016, arXiv 1511.02799): 30×30 pictures of shapes, yes/no questions.

FOLDER/<set>.input.npy is uint8 [pairs, 30, 30, 3] in the order blue, green, red; the k-th lines of
<set>.query_str.txt ("is a red shape left of a circle") and <set>.output ("true") belong to it. Sets
are train.tiny, train.small, train.med and train.large (each begins with the smaller ones), val and
test. Format: jacobandreas/nmn2 (data/gen_shapes.py) and ronghanghu/n2nmn (exp_shapes), which passes
the set on.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vqa.data.image import png
from vqa.data.record import BadRow, Example, ImageInput, Row
from vqa.data.sources.files import all_lines, parallel_lines
from vqa.data.sources.layouts import nothing_here
from vqa.errors import DataError

SIZES = ("tiny", "small", "med", "large")
RELATIONS = ("above", "below", "left", "right")
MOST_PIXELS = 1_000_000


@dataclass(frozen=True)
class Shapes:
    """The folder of SHAPES. Answers are true and false, as published.

    `question_type` is the number of relations in the question: "0 relations" to "2 relations".

    Args:
        folder: holds the sets.
        size: which training set.
    """

    name: ClassVar[str] = "shapes"
    folder: Path
    size: str = "large"

    def rows(self) -> Iterator[Row | BadRow]:
        """Yield every pair, set by set.

        Raises:
            DataError: no set is here, or the files of one do not belong together.
        """
        sets = {"train": f"train.{self.size}", "val": "val", "test": "test"}
        here = {s: stem for s, stem in sets.items() if _file(self.folder, stem).is_file()}
        if not here:
            raise nothing_here(
                self.folder,
                f"no train.{self.size}.input.npy here",
                "give the folder of the .input.npy files; --size names the training set",
            )
        for split, stem in here.items():
            yield from _set_rows(self.folder, split, stem)


def _set_rows(folder: Path, split: str, stem: str) -> Iterator[Row | BadRow]:
    questions, outputs = folder / f"{stem}.query_str.txt", folder / f"{stem}.output"
    pictures = _pictures(_file(folder, stem), len(all_lines(questions)))
    for number, (question, answer) in parallel_lines([questions, outputs]):
        where = f"{questions}, line {number}"
        if answer.lower() not in ("true", "false"):
            yield BadRow(where, f"the answer is {answer[:40]!r}, true or false was expected")
            continue
        name = f"{split}/{number - 1}"
        example = Example(
            question_id=name,
            image_id=name,
            question=question,
            answers=[answer.lower()],
            question_type=f"{sum(word in RELATIONS for word in question.split())} relations",
            answer_type="yes/no",
            split=split,
        )
        yield Row(example, ImageInput(data=_png(pictures[number - 1])), where)


def _file(folder: Path, stem: str) -> Path:
    return folder / f"{stem}.input.npy"


def _pictures(file: Path, count: int) -> NDArray[np.uint8]:
    """The pictures of a set, memory-mapped; uint8 [count, height, width, 3], blue first.

    Raises:
        DataError: no such array, or one of another shape.
    """
    try:
        found: NDArray[Any] = np.lib.format.open_memmap(file, mode="r")
    except (OSError, ValueError, EOFError) as error:
        raise DataError(
            f"no readable array, or a truncated one ({error})",
            where=str(file),
            fix="get the file again",
        ) from error
    shape, kind = found.shape, found.dtype
    if len(shape) != 4 or shape[-1] != 3 or kind != np.uint8:
        raise DataError(
            f"uint8 pictures [pairs, 30, 30, 3] were expected, not {kind} {list(shape)}",
            where=str(file),
            fix="is it the .input.npy of SHAPES? Features of a network are no pictures",
        )
    if shape[0] != count:
        raise DataError(
            f"{shape[0]:,} pictures for {count:,} questions",
            where=str(file),
            fix="get the files of this set again, all of one version",
        )
    if shape[1] * shape[2] > MOST_PIXELS or 0 in shape[1:3]:
        raise DataError(
            f"pictures of {shape[1]}×{shape[2]}", where=str(file), fix="get the file again"
        )
    return found


def _png(picture: NDArray[np.uint8]) -> bytes:
    """One picture, whose channels come as blue, green, red."""
    return png(Image.fromarray(np.ascontiguousarray(picture[..., ::-1])))


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `vqa prepare shapes`."""
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="holds the .input.npy files")
    parser.add_argument(
        "--size", choices=SIZES, default="large", help="training set (default and published: large)"
    )


def from_args(args: argparse.Namespace) -> Shapes:
    """The source that the command line describes."""
    return Shapes(args.folder, args.size)
