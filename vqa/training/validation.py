"""Validation between epochs: accuracy as sums over all processes, and whether to stop."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import distributed

from vqa.config import EarlyStopping
from vqa.data.bank import ImageBank
from vqa.data.table import QuestionTable
from vqa.evaluation.predict import Predictor
from vqa.training.directory import CANCELLED, PREEMPTED
from vqa.training.state import Progress


@dataclass(frozen=True)
class Validation:
    """The questions that choose the best checkpoint."""

    table: QuestionTable
    bank: ImageBank
    batch_size: int

    def accuracy(self, predictor: Predictor, rank: int, world: int) -> float:
        """Accuracy on 0 to 100: sums are reduced over the processes, not means."""
        sums = predictor.accuracy_sums(self.table, self.bank, self.batch_size, rank, world)
        if world > 1:
            distributed.all_reduce(sums)
        return 100 * float(sums[0]) / float(sums[1])


def judge(progress: Progress, accuracy: float, rule: EarlyStopping) -> bool:
    """Note a validation in `progress`; True where it is the best so far."""
    gained = progress.best is None or accuracy > progress.best
    if progress.best is None or accuracy > progress.best + rule.min_delta:
        progress.waited = 0
    else:
        progress.waited += 1
    progress.stopped_early = 0 < rule.patience <= progress.waited
    if gained:
        progress.best, progress.best_step = accuracy, progress.steps
    return gained


def agree(status: str | None, device: torch.device) -> str | None:
    """One status for all processes: that of any that has one."""
    order = (None, CANCELLED, PREEMPTED)
    vote = torch.tensor(float(order.index(status)), device=device)
    distributed.all_reduce(vote, op=distributed.ReduceOp.MAX)
    return order[int(vote.item())]
