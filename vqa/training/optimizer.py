"""The optimiser and its schedule, by torch's own names."""

from __future__ import annotations

import math
from collections import ChainMap
from collections.abc import Callable, Collection, MutableMapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Muon, Optimizer
from typing_extensions import override

from vqa.config import OptimizerConfig, Schedule


def build_optimizer(
    groups: list[dict[str, Any]],
    config: OptimizerConfig,
    *,
    matrices: Collection[nn.Parameter],
    fused: bool,
) -> Optimizer:
    """The optimiser over parameter groups, each with its own `lr`.

    Args:
        matrices: which of the parameters Muon steps, where it is asked for.
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
    if config.name == "muon":
        return MuonWithAdam(groups, config, matrices=matrices, fused=fused)
    kind: type[Adam] = {"adam": Adam, "adamw": AdamW}[config.name]
    return kind(
        groups,
        lr=config.lr,
        betas=config.betas,
        eps=config.eps,
        weight_decay=config.weight_decay,
        fused=fused,
    )


class MuonWithAdam(Optimizer):
    """Muon for the hidden matrices of a network, AdamW for all else, as one optimiser with one learning rate.

    Muon steps along the orthogonal factor of the momentum, so directions with little gradient move as far as those
    with much (Jordan et al. 2024); its steps are scaled to the size of AdamW's: 0.2·√max(rows, columns)
    (Liu et al. 2025).
    """

    def __init__(
        self,
        groups: list[dict[str, Any]],
        config: OptimizerConfig,
        *,
        matrices: Collection[nn.Parameter],
        fused: bool,
    ) -> None:
        super().__init__([dict(group) for group in groups], {"lr": config.lr})
        self.parts: list[Optimizer] = []
        if turned := _those(groups, lambda p: p in matrices):
            self.parts.append(
                Muon(
                    turned,
                    lr=config.lr,
                    weight_decay=config.weight_decay,
                    momentum=config.momentum,
                    adjust_lr_fn="match_rms_adamw",
                )
            )
        if others := _those(groups, lambda p: p not in matrices):
            self.parts.append(
                AdamW(
                    others,
                    lr=config.lr,
                    betas=config.betas,
                    eps=config.eps,
                    weight_decay=config.weight_decay,
                    fused=fused,
                )
            )
        self._share()

    def _share(self) -> None:
        """Schedules and clipping see the groups of both parts, and the parts see what they change."""
        self.param_groups = [group for part in self.parts for group in part.param_groups]
        self.state = _States(*(part.state for part in self.parts))  # type: ignore[assignment]

    @override
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One step of both parts."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for part in self.parts:
            part.step()
        return loss

    @override
    def state_dict(self) -> dict[str, Any]:
        """What each part keeps."""
        return {"parts": [part.state_dict() for part in self.parts]}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from `state_dict`."""
        for part, state in zip(self.parts, state_dict["parts"], strict=True):
            part.load_state_dict(state)
        self._share()


class _States(ChainMap[Tensor, Any]):
    """What several optimisers keep, each of its own parameters; each of these dicts would make what it is asked for."""

    @override
    def __getitem__(self, key: Tensor) -> Any:
        return self._of(key)[key]

    @override
    def __setitem__(self, key: Tensor, value: Any) -> None:
        self._of(key)[key] = value

    def _of(self, key: Tensor) -> MutableMapping[Tensor, Any]:
        for part in self.maps:
            if key in part:
                return part
        raise KeyError(key)


def _those(
    groups: list[dict[str, Any]], wanted: Callable[[nn.Parameter], bool]
) -> list[dict[str, Any]]:
    """The groups with their wanted parameters alone; no empty group."""
    chosen = [{**group, "params": [p for p in group["params"] if wanted(p)]} for group in groups]
    return [group for group in chosen if group["params"]]


def rate(
    schedule: Schedule, total_steps: int, batches_an_epoch: int, batches_a_step: int = 1
) -> Callable[[int], float]:
    """The factor on every group's learning rate as a function of the step; epochs end between any two batches."""

    def decay(step: int) -> float:
        if schedule.name == "cosine":
            span = max(1, total_steps - schedule.warmup_steps)
            done = min(1.0, max(0, step - schedule.warmup_steps) / span)
            return schedule.final_ratio + (1 - schedule.final_ratio) * 0.5 * (
                1 + math.cos(math.pi * done)
            )
        if schedule.name == "step":
            return schedule.gamma ** (
                step * batches_a_step // batches_an_epoch // schedule.step_epochs
            )
        return 1.0

    return lambda step: min(1.0, (step + 1) / (schedule.warmup_steps + 1)) * decay(step)
