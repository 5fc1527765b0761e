"""Between epochs: the accuracy that chooses the best checkpoint, and early stopping."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import distributed

from vqa.config import EarlyStopping
from vqa.data.bank import ImageBank
from vqa.data.table import QuestionTable
from vqa.evaluation.predict import Predictor
from vqa.training.distributed import share_statistics
from vqa.training.state import Progress

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
