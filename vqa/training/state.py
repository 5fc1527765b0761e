"""Everything that a run needs to go on as if it had never stopped."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
import torch

from vqa.data.order import Position


@dataclass
class Progress:
    """How far a run has come.

    Attributes:
        batches, steps, questions: done so far; a batch is this process's share of a global batch.
        best, best_step: highest validation accuracy (0 to 100) and the step it was met at.
        best_seconds: training time until then.
        gained: the accuracy at the last gain that counts for early stopping; an older program did not keep it.
        waited: validations since then.
        stopped_early: training ended by early stopping.
        journal_bytes: size of the journal at this point.
        train_seconds: time spent in training over all lives of the run.
        validation_seconds: how long the last validation took; before the first one nobody knows.
    """

    batches: int = 0
    steps: int = 0
    questions: int = 0
    best: float | None = None
    best_step: int = 0
    best_seconds: float = 0.0
    gained: float | None = None
    waited: int = 0
    stopped_early: bool = False
    journal_bytes: int = 0
    train_seconds: float = 0.0
    validation_seconds: float = math.inf

    def position(self, batches_an_epoch: int) -> Position:
        """The next batch."""
        return Position(*divmod(self.batches, batches_an_epoch))

    def take(self, state: dict[str, Any]) -> None:
        """The inverse of `to_state`; what an older program did not write stays as it is."""
        for item in fields(self):
            setattr(self, item.name, state.get(item.name, getattr(self, item.name)))

    def to_state(self) -> dict[str, Any]:
        """Plain types."""
        return asdict(self)


def random_states() -> dict[str, Any]:
    """The state of every random generator of this process, as types that `torch.load(weights_only=True)` admits."""
    kind, keys, *rest = np.random.get_state(legacy=True)
    cuda = torch.cuda.get_rng_state() if torch.cuda.is_initialized() else None  # type: ignore[no-untyped-call]
    version, words, gauss_next = random.getstate()
    position, has_gauss, gauss = rest
    return {
        "torch": torch.get_rng_state(),
        "cuda": cuda,
        "python": [version, list(words), gauss_next],
        "numpy": [
            str(kind),
            np.asarray(keys).tolist(),
            int(position),
            int(has_gauss),
            float(gauss),
        ],
    }


def restore_random_states(states: Mapping[str, Any]) -> None:
    """Set every generator as it was when `random_states` was asked."""
    torch.set_rng_state(states["torch"])
    if states["cuda"] is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(states["cuda"])
    version, words, gauss_next = states["python"]
    random.setstate((version, tuple(words), gauss_next))
    kind, keys, *rest = states["numpy"]
    np.random.set_state((kind, np.asarray(keys, dtype=np.uint32), *rest))
