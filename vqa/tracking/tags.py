"""A run's place in its ablation, as its tags say: every dashboard groups runs by it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

VARIANT, BASELINE, BESIDE = "variant", "baseline", "beside"
"""Tags are written `variant=…`, `baseline=…`, `beside=chance`, and `<axis>=<label>` for every axis."""


@dataclass(frozen=True)
class Place:
    """Where a run stands in its ablation.

    Attributes:
        variant: short label, the same for all seeds.
        labels: axis → label of its value; empty for a baseline.
        baseline: which one it is; None for a cell of the grid.
        chance: whether the ablation is to be compared with blind guessing.
    """

    variant: str
    labels: dict[str, str] = field(default_factory=dict)
    baseline: str | None = None
    chance: bool = False


def tags(variant: str, labels: dict[str, str], baseline: str | None, chance: bool) -> list[str]:
    """What the run's own experiment says about its place in the ablation."""
    found = [f"{VARIANT}={variant}", *(f"{axis}={label}" for axis, label in labels.items())]
    if baseline is not None:
        found.append(f"{BASELINE}={baseline}")
    return found + ([f"{BESIDE}=chance"] if chance else [])


def place_of(found: Iterable[str]) -> Place | None:
    """Read tags; None where they name no variant."""
    pairs = dict(tag.split("=", 1) for tag in found if "=" in tag)
    variant = pairs.pop(VARIANT, None)
    if variant is None:
        return None
    baseline, chance = pairs.pop(BASELINE, None), pairs.pop(BESIDE, None) == "chance"
    return Place(variant, pairs, baseline, chance)
