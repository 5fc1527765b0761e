"""The names of a run's curves: the same in the journal, in W&B and in every other tracker.

They are part of what people rely on: a name that is here keeps its meaning, and a journal holds no other
(tests/tracking/test_curve_names.py). Every record has `step` (optimiser steps), `epoch` and `time` beside them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Curve:
    """One curve, or several of a kind.

    Attributes:
        name: as it is logged; `*` stands for a number where there are several.
        meaning: what it measures, with its unit.
        shown: whether it has a panel of its own in a report.
    """

    name: str
    meaning: str
    shown: bool = True

    @property
    def pattern(self) -> str:
        """A regular expression of the names."""
        return re.escape(self.name).replace(r"\*", "[0-9]+")


VALIDATED = "val/accuracy"
CURVES = (
    Curve(VALIDATED, "accuracy on the validation split, 0 to 100"),
    Curve("train/loss", "mean loss of the answers since the last record"),
    Curve("train/gradient_norm", "mean norm of all gradients together, before clipping"),
    Curve("train/clipped_share", "share of the steps whose gradient was clipped, 0 to 1"),
    Curve("train/lr", "learning rate of the first group of parameters", shown=False),
    Curve("train/questions_per_second", "questions a second since the last record"),
    Curve("gradient_by_step/*", "norm of the loss's gradient at the word so far from the end"),
    Curve("forget_gate/layer_*", "mean forget gate of a recurrent layer, 0 to 1"),
)
