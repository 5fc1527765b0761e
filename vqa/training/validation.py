"""What processes agree on: accuracy between epochs as sums over all, and whether to stop."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import distributed, nn

from vqa.config import EarlyStopping
from vqa.data.bank import ImageBank
from vqa.data.table import QuestionTable
from vqa.evaluation.predict import Predictor
from vqa.training.directory import CANCELLED, PREEMPTED
from vqa.training.state import Progress

SECONDS, MOST_STEPS = 1.0, 10
"""Between two votes, at most."""
LONG_SECONDS = 10.0
"""A validation that takes longer may not end within the grace of a run that is asked to stop."""


@dataclass(frozen=True)
class Validation:
    """The questions that choose the best checkpoint."""

    table: QuestionTable
    bank: ImageBank
    batch_size: int

    def accuracy(
        self, predictor: Predictor, rank: int, world: int, look: Callable[[int], None] | None = None
    ) -> float:
        """Accuracy on 0 to 100: sums are reduced over the processes, not means. All use the first one's statistics.

        Args:
            look: called by all processes after the same batches, with how many of its own each has done.
        """
        if world > 1:
            share_statistics(predictor.network)
        table, size = self.table, self.batch_size
        most = predictor.common_batches(table, size, world) if look else 0

        def after(done: int) -> None:
            if look and done <= most:
                look(done)

        sums = predictor.accuracy_sums(table, self.bank, size, rank, world, after)
        if world > 1:
            distributed.all_reduce(sums)
        return 100 * float(sums[0]) / float(sums[1])


def judge(progress: Progress, accuracy: float, rule: EarlyStopping) -> bool:
    """Note a validation in `progress`; True where it is the best so far.

    As Lightning does, a gain is measured from the last one that counted: small ones add up.
    """
    is_best = progress.best is None or accuracy > progress.best
    before = progress.best if progress.gained is None else progress.gained
    if before is None or accuracy > before + rule.min_delta:
        progress.gained, progress.waited = accuracy, 0
    else:
        progress.waited += 1
    progress.stopped_early = 0 < rule.patience <= progress.waited
    if is_best:
        progress.best, progress.best_step = accuracy, progress.steps
    return is_best


def share_statistics(network: nn.Module) -> None:
    """Give all processes the first one's, which are what is saved: each has batch-norm statistics of its own
    questions."""
    saved = network.state_dict()
    for name, buffer in network.named_buffers():
        if name in saved:
            distributed.broadcast(buffer, 0)


def agree(status: str | None, device: torch.device) -> str | None:
    """One status for all processes: that of any that has one."""
    return _vote(status, 0.0, device)[0]


def longest(seconds: float, device: torch.device) -> float:
    """The greatest of all processes' times."""
    return _vote(None, seconds, device)[1] if distributed.is_initialized() else seconds


class Vote:
    """When processes ask each other whether to stop: about once a second, and at the same steps.

    Attributes:
        due: the step of the next vote.
    """

    def __init__(self, step: int) -> None:
        self._step, self._at, self.due = step, time.perf_counter(), step + 1

    def take(self, step: int, status: str | None, device: torch.device) -> str | None:
        """The status of all; how long the steps of the slowest process were says when they vote again."""
        now = time.perf_counter()
        own = (now - self._at) / max(1, step - self._step)
        agreed, slowest = _vote(status, own, device)
        self._step, self._at = step, now
        self.due = step + max(1, min(MOST_STEPS, int(SECONDS / max(slowest, 1e-9))))
        return agreed


def _vote(status: str | None, seconds: float, device: torch.device) -> tuple[str | None, float]:
    """As `agree`, and the greatest of the processes' `seconds`."""
    order = (None, CANCELLED, PREEMPTED)
    told = torch.tensor([float(order.index(status)), seconds], device=device)
    distributed.all_reduce(told, op=distributed.ReduceOp.MAX)
    chosen, greatest = told.tolist()
    return order[int(chosen)], greatest
