"""A cell: one experiment of an ablation."""

from __future__ import annotations

from dataclasses import dataclass, field

from vqa.config import Experiment


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
