"""Steps and validation on a device that is no CPU: all tensors of a batch are there, and none is waited for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from tests.imaginary_gpu import GPU, imagined
from tests.training.test_pictures import FROZEN
from vqa.config import Experiment
from vqa.data.bank import Resident
from vqa.data.order import Position
from vqa.evaluation.predict import Predictor
from vqa.model.question_encoder import recurrent
from vqa.model.question_encoder.packed import run_packed
from vqa.training.loader import TrainingBatches
from vqa.training.materials import Materials, load_materials
from vqa.training.module import TrainingModule

TURNED = {"horizontal_flip": True, "quarter_turns": True, "shift": 2, "zoom": 0.1}
PICTURES: dict[str, Any] = {}
CHOOSER = {"head": {"name": "chooser", "dim": 8}}


def resident(images: int, model: dict[str, Any]) -> Resident:
    """Pictures, or the features of a frozen encoder, on the imaginary GPU."""
    if model is FROZEN:
        return Resident(torch.zeros(images, 16, 8, dtype=torch.float16, device=GPU))
    return Resident(torch.zeros(images, 3, 16, 16, dtype=torch.uint8, device=GPU))


def training(materials: Materials, experiment: Experiment, bank: Resident) -> TrainingBatches:
    """Some batches of the first epoch."""
    return TrainingBatches(materials.train, bank, experiment.data, 0, GPU, Position(), 3)


@pytest.mark.parametrize(
    ("model", "data"),
    [
        (PICTURES, {"augmentation": TURNED}),
        (FROZEN, {"group_by_image": True}),
        (CHOOSER, {"group_by_length": True}),
    ],
    ids=["pictures", "features", "chooser"],
)
def test_steps_and_validation(
    experiment: Callable[..., Experiment],
    monkeypatch: pytest.MonkeyPatch,
    model: dict[str, Any],
    data: dict[str, Any],
) -> None:
    monkeypatch.setattr(recurrent, "run_torch", run_packed)  # cuDNN wants a driver
    monkeypatch.setattr(TrainingModule, "global_step", 0)
    made = experiment(model=model, data=data, trainer={"precision": "32-true"})
    materials = load_materials(made)
    network = made.model.build(materials.sizes(made.data))
    with imagined():
        network.to(GPU)
        module = TrainingModule(network, made, 3, 5)
        optimizer = torch.optim.Adam(network.parameters())
        bank = resident(len(materials.train.image_rows), model)
        for number, batch in enumerate(training(materials, made, bank)):
            module.training_step(batch, number).backward()
            module.configure_gradient_clipping(optimizer)
            optimizer.step()
        assert module.batches_seen == 3
        figures = [module.loss_sum, module.gradient_norm]
        assert all(isinstance(one, torch.Tensor) and one.device.type == GPU.type for one in figures)
        validation = materials.validation
        assert validation is not None
        asked = resident(len(validation.image_rows), model)
        sums = Predictor(network, GPU).accuracy_sums(validation, asked, 32)
        assert sums.device.type == GPU.type


def test_what_waits_or_mixes_is_found() -> None:
    with imagined():
        there = torch.ones(3, device=GPU)
        with pytest.raises(RuntimeError, match="_local_scalar_dense"):
            there.sum().item()
        with pytest.raises(RuntimeError, match="nonzero"):
            there.nonzero()
        with pytest.raises(RuntimeError, match=r"(?i)device"):
            there + torch.ones(3)
        assert torch.ones(3).sum().item() == 3
