"""Optimisers by name; Muon with Adam against torch's own two beside each other."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import AdamW, Muon
from torch.optim.lr_scheduler import LambdaLR

from vqa.config import OptimizerConfig, Schedule
from vqa.training.optimizer import build_optimizer, rate


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3))


def gradients(model: nn.Module, step: int) -> None:
    drawn = torch.Generator().manual_seed(step)
    rows, labels = torch.randn(16, 6, generator=drawn), torch.arange(16) % 3
    model.zero_grad()
    nn.functional.cross_entropy(model(rows), labels).backward()


def hidden(model: nn.Sequential) -> set[nn.Parameter]:
    return {p for layer in (model[0], model[2]) for p in layer.parameters() if p.ndim == 2}


def built(model: nn.Sequential, **settings: Any) -> torch.optim.Optimizer:
    groups = [
        {"name": "first", "lr": 0.01, "params": list(model[0].parameters())},
        {"name": "rest", "lr": 0.002, "params": list(model[1:].parameters())},
    ]
    config = OptimizerConfig.model_validate({"name": "muon", **settings})
    return build_optimizer(groups, config, matrices=hidden(model), fused=False)


def weights(model: nn.Module) -> list[Tensor]:
    return [p.detach().clone() for p in model.parameters()]


def test_muon_steps_the_matrices_and_adamw_the_rest() -> None:
    ours, plain = network(), network()
    optimizer = built(ours, weight_decay=0.1, momentum=0.95, betas=(0.8, 0.95), eps=1e-4)
    first, second, last = plain[0], plain[2], plain[4]
    parts = [
        Muon(
            [{"params": [first.weight], "lr": 0.01}, {"params": [second.weight], "lr": 0.002}],
            weight_decay=0.1,
            momentum=0.95,
            adjust_lr_fn="match_rms_adamw",
        ),
        AdamW(
            [
                {"params": [first.bias], "lr": 0.01},
                {"params": [second.bias, *last.parameters()], "lr": 0.002},
            ],
            betas=(0.8, 0.95),
            eps=1e-4,
            weight_decay=0.1,
        ),
    ]
    for step in range(4):
        gradients(ours, step), gradients(plain, step)
        optimizer.step()
        for part in parts:
            part.step()
    for mine, theirs in zip(weights(ours), weights(plain), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=0)


def test_a_schedule_moves_both_parts() -> None:
    model = network()
    optimizer = built(model)
    schedule = LambdaLR(optimizer, lambda step: 0.5**step)
    gradients(model, 0)
    optimizer.step()
    schedule.step()
    assert sorted(group["lr"] for group in optimizer.param_groups) == [0.001, 0.001, 0.005, 0.005]
    assert {group["name"] for group in optimizer.param_groups} == {"first", "rest"}
    assert len(optimizer.state) == 6


def test_a_restored_state_goes_on_as_if_never_stopped() -> None:
    model = network()
    optimizer = built(model)
    for step in range(3):
        gradients(model, step)
        optimizer.step()
    twin = copy.deepcopy(model)
    restored = built(twin)
    restored.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for group in (*optimizer.param_groups, *restored.param_groups):
        group["lr"] *= 0.5
    for step in range(3, 6):
        gradients(model, step), gradients(twin, step)
        optimizer.step(), restored.step()
    for mine, theirs in zip(weights(model), weights(twin), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=0)


def test_the_state_of_every_parameter_is_that_of_its_part() -> None:
    model = network()
    optimizer = built(model)
    gradients(model, 0)
    optimizer.step()
    kept = {parameter: set(state) for parameter, state in optimizer.state.items()}
    for parameter in model.parameters():
        adam = {"step", "exp_avg", "exp_avg_sq"}
        assert kept[parameter] == ({"momentum_buffer"} if parameter in hidden(model) else adam)
    before = copy.deepcopy(optimizer.state_dict())
    for parameter, state in optimizer.state.items():  # as Lightning does to move it to a device
        optimizer.state[parameter] = dict(state)
    for mine, theirs in zip(optimizer.state_dict()["parts"], before["parts"], strict=True):
        assert {place: set(state) for place, state in mine["state"].items()} == {
            place: set(state) for place, state in theirs["state"].items()
        }
    with pytest.raises(KeyError):
        optimizer.state[nn.Parameter(torch.zeros(1))]


def test_without_matrices_it_is_adamw() -> None:
    model = nn.Sequential(nn.Linear(6, 3))
    config = OptimizerConfig(name="muon")
    groups = [{"lr": 0.01, "params": list(model.parameters())}]
    optimizer = build_optimizer(groups, config, matrices=set(), fused=False)
    gradients(model, 0)
    before = weights(model)
    assert optimizer.step(lambda: 1.5) == 1.5
    assert all(not torch.equal(*pair) for pair in zip(before, weights(model), strict=True))


@pytest.mark.parametrize("name", ["adam", "adamw", "muon", "sgd"])
def test_every_optimizer_lowers_the_loss(name: str) -> None:
    model = network()
    rows, labels = torch.randn(32, 6), torch.arange(32) % 3
    config = OptimizerConfig.model_validate({"name": name, "lr": 0.05})
    groups = [{"lr": 0.05, "params": list(model.parameters())}]
    optimizer = build_optimizer(groups, config, matrices=hidden(model), fused=False)
    losses = []
    for _ in range(40):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(rows), labels)
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.95 * losses[0]


@pytest.mark.parametrize(("batches", "together"), [(10, 4), (7, 4), (2, 8), (5, 1)])
def test_steps_of_several_batches_decay_by_the_epoch(batches: int, together: int) -> None:
    schedule = Schedule(name="step", step_epochs=10, gamma=0.5)
    factor = rate(schedule, 10_000, batches, together)
    first = next(step for step in range(10_000) if factor(step) < 1)
    assert first == math.ceil(10 * batches / together)
    assert factor(math.ceil(20 * batches / together)) == 0.25
