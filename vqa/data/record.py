"""The canonical example, and what a source hands to `prepare`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

NO_LABEL = -1
"""The label of a question without choices, or whose right choice is not known."""
VARYING = re.compile(r"""(?<!\w)(['"]).*?\1(?!\w)|(?<![\w-])(?:0x)?\d[\da-f]*(?:[.,]\d+)*""")
"""What differs between two records with one fault: quoted texts, numbers, addresses in memory."""


@dataclass(frozen=True, slots=True)
class Example:
    """One question about one image.

    Attributes:
        question_id: unique in the store.
        image_id: key into the store's table of images.
        question: the text as published.
        answers: what people answered, in the published order; empty where the answer is withheld.
        choices: the candidates of a multiple-choice question; empty for an open-ended one.
        label: position of the right choice, `NO_LABEL` where there is none.
        question_type: what per-type figures are grouped by ("" where the source has none).
        answer_type: likewise ("yes/no", "number", "other" in VQA).
        split: name of the split.
    """

    question_id: str
    image_id: str
    question: str
    answers: list[str] = field(default_factory=list)
    choices: list[str] = field(default_factory=list)
    label: int = NO_LABEL
    question_type: str = ""
    answer_type: str = ""
    split: str = "train"


@dataclass(frozen=True, slots=True)
class ImageInput:
    """Where the bytes of an image come from: a file below `root`, or bytes in memory.

    `root` is the folder that `path` may not leave, by `..` or by a symbolic link.
    """

    path: Path | None = None
    root: Path | None = None
    data: bytes | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """A usable record of a source; `where` names file and record for messages."""

    example: Example
    image: ImageInput
    where: str


@dataclass(frozen=True, slots=True)
class BadRow:
    """A record that cannot be used, and why.

    Attributes:
        where: its file and its place in there.
        reason: without the names of files, so that records with the same fault have the same.
        image: its picture's file, where the fault is in that.
    """

    where: str
    reason: str
    image: str = ""

    @property
    def said(self) -> str:
        """The reason, with the picture's file."""
        return f"image {self.image}: {self.reason}" if self.image else self.reason


def by_reason(rows: Iterable[BadRow]) -> list[tuple[str, list[BadRow]]]:
    """Records by why they cannot be used, the most frequent reason first; reasons that differ in quoted words and
    numbers are one."""
    alike: dict[str, list[BadRow]] = {}
    for row in rows:
        alike.setdefault(VARYING.sub("…", row.reason), []).append(row)
    groups = sorted(alike.items(), key=lambda item: -len(item[1]))
    return [
        (rows[0].reason if len({row.reason for row in rows}) == 1 else reason, rows)
        for reason, rows in groups
    ]


def first_of_each_reason(rows: Iterable[BadRow], most: int) -> list[str]:
    """For each of the `most` commonest reasons the first such record, and how many more there are; then how many
    records have others."""
    groups = by_reason(rows)
    lines = [
        f"{bad[0].where}: {bad[0].said}" + (f" (and {len(bad) - 1:,} more)" if bad[1:] else "")
        for _, bad in groups[:most]
    ]
    others = sum(len(bad) for _, bad in groups[most:])
    return [*lines, f"… {others:,} of other reasons"] if others else lines


def without_folders(where: str) -> str:
    """A file's name, or the place of a record, without the folders that the file lies in."""
    return where.rpartition("/")[2]


class Source(Protocol):
    """A published format: yields its records in the published order, good and bad.

    A file that cannot be read raises `DataError`; a record that cannot be used is a `BadRow`.
    """

    def rows(self) -> Iterator[Row | BadRow]:
        """Yield every record once."""
        ...
