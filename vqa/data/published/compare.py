"""The numbers of a store beside the published ones, so that a wrong or cut file is noticed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vqa.data.published.facts import EVERY, Count, DataSet
from vqa.data.published.sets import DATA_SETS

if TYPE_CHECKING:
    from vqa.data.store import Store

Counted = Mapping[str, tuple[int, int]]
"""For every split its questions and the pictures that they are about."""


@dataclass(frozen=True)
class Compared:
    """One published number and what was counted.

    Attributes:
        data_set: whose number it is.
        split: `EVERY` for the whole.
        questions, images: counted.
        published: the number that is published.
    """

    data_set: str
    split: str
    questions: int
    images: int
    published: Count

    @property
    def as_published(self) -> bool:
        """Whether the numbers are the published ones."""
        return self.published.fits(self.questions, self.images)

    def line(self) -> str:
        """`train 70,000 images, 699,989 questions: as published`, or what differs."""
        split = self.split or "in all"
        counted = f"{self.data_set}: {split} {self.images:,} images, {self.questions:,} questions"
        if self.as_published:
            return f"{counted}: {'as published' if self.published.verified else 'as unverified'}"
        images = "" if self.published.images is None else f"{self.published.images:,} images, "
        about = "about " if self.published.to > 1 else ""
        known = "published" if self.published.verified else "unverified figure"
        said = f"{images}{about}{self.published.questions:,} questions"
        return f"{counted}; {known}: {said} — a part, another version or another file?"

    def to_json(self) -> dict[str, Any]:
        """The same as data."""
        return asdict(self) | {"as_published": self.as_published}


def compare(store: Store, source: str, version: str | None = None) -> list[Compared]:
    """The store's numbers beside those of the data set that it most likely is; [] where none is known.

    Of several data sets that a source reads, that counts whose version the files name, else that with whose numbers
    most splits agree, else the one whose first shared split is nearest in size.
    """
    counted = _counted(store)
    read = [one for one in DATA_SETS if one.source == source and not one.generated]
    named = [one for one in read if version and one.name.endswith(f"-v{version}")]
    found = [compared for one in named or read if (compared := _beside(one, counted))]
    return max(found, key=_likeness, default=[])


def _beside(one: DataSet, counted: Counted) -> list[Compared]:
    whole = {count.split for count in one.counts if count.split} <= counted.keys()
    return [
        Compared(one.name, count.split, *counted[count.split], count)
        for count in one.counts
        if count.split in counted and (count.split or whole)
    ]


def _likeness(compared: Sequence[Compared]) -> tuple[int, float]:
    agreeing = sum(one.as_published for one in compared)
    first = compared[0]
    ratio = first.questions / first.published.questions
    return agreeing, -abs(float(np.log(max(ratio, 1e-9))))


def _counted(store: Store) -> dict[str, tuple[int, int]]:
    splits = {split: store.rows(split) for split in store.manifest.splits}
    found = {s: (len(rows), len(np.unique(store.image_rows[rows]))) for s, rows in splits.items()}
    return {**found, EVERY: (sum(store.manifest.splits.values()), store.manifest.images)}
