"""What several processes need not send to each other at every step."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from vqa.config import Experiment
from vqa.model.config import Sizes
from vqa.training.module import TrainingModule, constants

SIZES = Sizes(16, 16, words=9, answers=5)
Make = Callable[..., Experiment]


@pytest.mark.parametrize("frozen", [True, False])
def test_statistics_that_learn_are_sent_and_nothing_else(frozen: bool, experiment: Make) -> None:
    model = {
        "image_encoder": {"name": "small", "channels": [4], "strides": [4], "frozen": frozen},
        "attention": {"name": "hard", "estimator": "reinforce", "hidden": 4},
        "coordinates": True,
    }
    made = experiment(model=model)
    network = made.model.build(SIZES)
    still, every = set(constants(network)), {name for name, _ in network.named_buffers()}
    assert "places" in still
    assert {"attention.baseline", "attention.baseline_weight"} <= every - still
    statistics = {name for name in every if name.endswith("running_mean")}
    assert statistics
    assert statistics <= (still if frozen else every - still)
    module = TrainingModule(network, made, 1, 1)
    ignored = module._ddp_params_and_buffers_to_ignore
    assert set(ignored) == {f"network.{name}" for name in still}
    assert set(ignored) <= {name for name, _ in module.named_buffers()}
