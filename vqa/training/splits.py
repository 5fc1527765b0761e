"""Which split of a store a run learns from, which chooses its checkpoint, and which it is scored on."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass

from vqa.config import Experiment

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
