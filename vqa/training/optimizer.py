"""The optimiser and its schedule, by torch's own names."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from torch.optim import SGD, Adam, AdamW, Optimizer

from vqa.config import OptimizerConfig, Schedule


def build_optimizer(
    groups: list[dict[str, Any]], config: OptimizerConfig, *, fused: bool
) -> Optimizer:
    """The optimiser over parameter groups, each with its own `lr`.

    Args:
        fused: one kernel for the whole step (not together with a gradient scaler).
    """
    if config.name == "sgd":
        return SGD(
            groups,
            lr=config.lr,
            momentum=config.momentum,
            weight_decay=config.weight_decay,
            fused=fused,
        )
    kind: type[Adam] = {"adam": Adam, "adamw": AdamW}[config.name]
    return kind(
        groups,
        lr=config.lr,
        betas=config.betas,
        eps=config.eps,
        weight_decay=config.weight_decay,
        fused=fused,
    )


def rate(schedule: Schedule, total_steps: int, steps_an_epoch: int) -> Callable[[int], float]:
    """The factor on every group's learning rate as a function of the step."""

    def decay(step: int) -> float:
        if schedule.name == "cosine":
            span = max(1, total_steps - schedule.warmup_steps)
            done = min(1.0, max(0, step - schedule.warmup_steps) / span)
            return schedule.final_ratio + (1 - schedule.final_ratio) * 0.5 * (
                1 + math.cos(math.pi * done)
            )
        if schedule.name == "step":
            return schedule.gamma ** (step // max(1, steps_an_epoch) // schedule.step_epochs)
        return 1.0

    return lambda step: min(1.0, (step + 1) / (schedule.warmup_steps + 1)) * decay(step)
