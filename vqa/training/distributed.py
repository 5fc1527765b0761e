"""This process among the processes of its run, and what they tell each other and agree on."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import Any

import torch
from torch import distributed, nn

from vqa.training.directory import CANCELLED, PREEMPTED
from vqa.training.launch import is_rank

SECONDS, MOST_STEPS = 1.0, 10
"""Between two votes, at most."""


@dataclass(frozen=True)
class Place:
    """This process among the processes of its run."""

    rank: int = 0
    world: int = 1

    @classmethod
    def here(cls) -> Place:
        """As the environment of a rank says; alone otherwise."""
        if not is_rank():
            return cls()
        return cls(int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]))

    @property
    def first(self) -> bool:
        """Whether this process writes the run's files."""
        return self.rank == 0

    def join(self, device: torch.device) -> None:
        """Meet the other processes of the run."""
        if self.world == 1 or distributed.is_initialized():
            return
        if device.type == "cuda":
            torch.cuda.set_device(device)
        distributed.init_process_group(
            backend_for(device),
            rank=self.rank,
            world_size=self.world,
            device_id=device if device.type == "cuda" else None,
        )

    def least(self, value: int, device: torch.device) -> int:
        """The smallest value that any process has, so that all decide alike."""
        if self.world == 1:
            return value
        told = torch.tensor(value, dtype=torch.int64, device=device)
        distributed.all_reduce(told, op=distributed.ReduceOp.MIN)
        return int(told)

    def same(self, value: int, device: torch.device) -> bool:
        """Whether all processes have this value."""
        return self.least(value, device) == value == -self.least(-value, device)


def leave_others() -> None:
    """Part from the other processes of the run, which do the same now."""
    if distributed.is_initialized():
        distributed.destroy_process_group()


def backend_for(device: torch.device) -> str:
    """How processes on such devices talk to each other."""
    return "gloo" if device.type == "cpu" else "nccl"


def share_statistics(network: nn.Module) -> None:
    """Give all processes the first one's, which are what is saved: each has batch-norm statistics of its own
    questions."""
    saved = network.state_dict()
    for name, buffer in network.named_buffers():
        if name in saved:
            distributed.broadcast(buffer, 0)


def gather(item: dict[str, Any], world: int) -> list[dict[str, Any]]:
    """What every process holds, in the order of their ranks."""
    if world == 1:
        return [item]
    gathered: list[Any] = [None] * world
    distributed.all_gather_object(gathered, item)
    return gathered


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
