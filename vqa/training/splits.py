"""Which split of a store a run learns from, which chooses its checkpoint, and which it is scored on."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vqa.config import Experiment
from vqa.data.check import file_stem

if TYPE_CHECKING:
    from vqa.data.store import Store

VALIDATION_NAMES = ("val", "valid", "validation", "dev")


@dataclass(frozen=True)
class Splits:
    """The splits of a store by what they are for."""

    train: str
    validation: str | None
    evaluation: str

    @property
    def caution(self) -> str:
        """What a reader of the score has to know; "" where nothing."""
        if self.evaluation != self.train:
            return ""
        return (
            f"the score is of split {self.train!r}, the questions that the run learns from; for new ones"
            " the store needs a split test or val (--split-by-image of vqa prepare draws one)"
        )


def resolve_splits(names: Container[str], experiment: Experiment) -> Splits:
    """What `auto` and `none` mean for a store with splits of these names."""
    train, wanted = experiment.data.train_split, experiment.data.validation_split
    found = next((name for name in VALIDATION_NAMES if name in names and name != train), None)
    validation = {"auto": found, "none": None}.get(wanted, wanted)
    evaluation = experiment.evaluation.split
    if evaluation == "auto":
        evaluation = "test" if "test" in names else validation or train
    return Splits(train, validation, evaluation)


def choose_splits(store: Store, experiment: Experiment) -> Splits:
    """Resolve `auto` and `none` against the store's splits.

    Raises:
        DataError: the store has no such split, or results of it cannot be kept under its name.
    """
    splits = resolve_splits(store.manifest.splits, experiment)
    for name in filter(None, (splits.train, splits.validation, splits.evaluation)):
        store.check_split(name)
    file_stem(splits.evaluation)
    return splits
