"""What a network takes while it learns is known before it is made."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from vqa.config import OptimizerConfig
from vqa.data.bank import free_bytes
from vqa.errors import ModelError
from vqa.model.blueprint import blueprint
from vqa.model.config import ModelConfig, Sizes
from vqa.model.network import Network
from vqa.training.hardware import take_share
from vqa.training.optimizer import build_optimizer
from vqa.training.process import GPU_SHARE_VARIABLE
from vqa.training.room import check_room, learning_bytes

SIZES = Sizes(64, 64, 5, 7)
OPTIMIZERS: list[dict[str, Any]] = [
    {"name": "adam"},
    {"name": "adamw"},
    {"name": "muon"},
    {"name": "sgd", "momentum": 0.9},
    {"name": "sgd", "momentum": 0.0},
]


def drawn(**fields: Any) -> Network:
    return blueprint(ModelConfig.model_validate(fields), SIZES)


def kept_by(network: Network, config: OptimizerConfig) -> int:
    """The tensors that the optimiser has after a step, counters left out."""
    matrices = network.matrices()
    optimizer = build_optimizer(
        network.parameter_groups(0.1), config, matrices=matrices, fused=False
    )
    for parameter in network.parameters():
        parameter.grad = nn.Parameter.new_zeros(parameter, parameter.shape)
    optimizer.step()
    states = (value for state in optimizer.state.values() for value in state.values())
    return sum(value.nbytes for value in states if getattr(value, "ndim", 0))


@pytest.mark.parametrize("fields", OPTIMIZERS, ids=str)
def test_the_optimiser_keeps_what_was_counted(fields: dict[str, Any]) -> None:
    config = OptimizerConfig.model_validate(fields)
    network = ModelConfig().build(SIZES)
    needs = learning_bytes(network, config)
    assert needs == learning_bytes(drawn(), config)
    assert needs["optimizer"] == kept_by(network, config)
    assert needs["gradients"] == sum(p.nbytes for p in network.parameters())


def test_what_is_frozen_takes_no_gradient() -> None:
    frozen = learning_bytes(
        drawn(image_encoder={"name": "small", "frozen": True}), OptimizerConfig()
    )
    tuned = learning_bytes(drawn(), OptimizerConfig())
    assert frozen["model"] == tuned["model"]
    assert frozen["gradients"] < tuned["gradients"]
    assert frozen["optimizer"] < tuned["optimizer"]


def test_a_network_that_the_machine_does_not_hold_is_refused_with_the_numbers() -> None:
    network, config = drawn(), OptimizerConfig()
    count = sum(parameter.numel() for parameter in network.parameters())
    needed = sum(learning_bytes(network, config).values())
    assert needed > 16 * count
    check_room(network, config, needed)
    with pytest.raises(ModelError, match=rf"{count:,} parameters and takes .* GiB for it"):
        check_room(network, config, needed - 1)


@pytest.mark.parametrize(
    ("share", "free", "held", "left"),
    [(1.0, 900, 0, 900), (0.25, 900, 0, 250), (0.25, 100, 0, 100), (0.25, 900, 240, 10)],
)
def test_what_is_free_of_a_gpu_is_a_process_own_part(
    share: float, free: int, held: int, left: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a GPU: torch's own figures are given in the place of one."""
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (free, 1000))
    monkeypatch.setattr(torch.cuda, "get_per_process_memory_fraction", lambda _: share)
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda _: held)
    assert free_bytes(torch.device("cuda", 0)) == left


def test_a_share_is_taken_of_a_gpu_alone_and_where_one_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    taken: list[tuple[float, torch.device]] = []
    monkeypatch.setattr(
        torch.cuda, "set_per_process_memory_fraction", lambda *given: taken.append(given)
    )
    cpu, gpu = torch.device("cpu"), torch.device("cuda", 1)
    monkeypatch.delenv(GPU_SHARE_VARIABLE, raising=False)
    take_share(gpu)
    monkeypatch.setenv(GPU_SHARE_VARIABLE, "0.25")
    take_share(cpu)
    assert taken == []
    take_share(gpu)
    assert taken == [(0.25, gpu)]
