"""A cell: one experiment of an ablation, and the tags by which its run is known again wherever it lies."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from vqa.config import Experiment

VARIANT, BASELINE, BESIDE = "variant", "baseline", "beside"
"""Tags are written `variant=…`, `baseline=…`, `beside=chance`, and `<axis>=<label>` for every axis."""

LONGEST_TAG = 64
"""W&B takes no longer one."""


@dataclass(frozen=True)
class Cell:
    """One run of an ablation.

    Attributes:
        variant: short label, the same for all seeds.
        labels: axis → label of its value; empty for a baseline.
        baseline: which one it is; None for a cell of the grid.
        experiment: complete; can be run alone.
    """

    variant: str
    seed: int
    experiment: Experiment
    labels: dict[str, str] = field(default_factory=dict)
    baseline: str | None = None

    @property
    def name(self) -> str:
        """The job's name: the same for the same experiment in the same place of the grid, and for no other."""
        return f"{self.variant.replace('+', '_')}.s{self.seed}.{self.experiment.digest()[:8]}"


def tags(variant: str, labels: dict[str, str], baseline: str | None, chance: bool) -> list[str]:
    """What the run's own experiment says about its place in the ablation."""
    found = [f"{VARIANT}={variant}", *(f"{axis}={label}" for axis, label in labels.items())]
    if baseline is not None:
        found.append(f"{BASELINE}={baseline}")
    return found + ([f"{BESIDE}=chance"] if chance else [])


@dataclass(frozen=True)
class Place:
    """A run's place in its ablation, as its tags say; see `Cell`."""

    variant: str
    labels: dict[str, str]
    baseline: str | None
    chance: bool


def place_of(found: Iterable[str]) -> Place | None:
    """Read tags; None where they name no variant."""
    pairs = dict(tag.split("=", 1) for tag in found if "=" in tag)
    variant = pairs.pop(VARIANT, None)
    if variant is None:
        return None
    baseline, chance = pairs.pop(BASELINE, None), pairs.pop(BESIDE, None) == "chance"
    return Place(variant, pairs, baseline, chance)
