"""What a network takes while it learns is known before it is made."""

from __future__ import annotations

from typing import Any

import pytest
from torch import nn

from vqa.config import OptimizerConfig
from vqa.errors import ModelError
from vqa.model.blueprint import blueprint
from vqa.model.config import ModelConfig, Sizes
from vqa.model.network import Network
from vqa.training.optimizer import build_optimizer
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
