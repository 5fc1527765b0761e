"""This program's own training loop over generated data: experiment, network, module, batches, callbacks, Lightning.

What a store would give is generated; everything from the batches on is what `vqa train` runs. Saving is left out.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from bench_parts.generated import ANSWERS, WORDS, Questions, Shape
from vqa.config import Experiment, parse_experiment
from vqa.data.bank import Resident, Shard
from vqa.data.batches import Batch, pack
from vqa.data.order import owners
from vqa.data.table import QuestionTable
from vqa.data.text import Texts
from vqa.export import VQAModel
from vqa.model.config import Sizes
from vqa.tracking.journal import Journal
from vqa.tracking.mirrors import Mirrors
from vqa.training.checkpoints import Checkpoints
from vqa.training.directory import RunDirectory
from vqa.training.display import Display
from vqa.training.distributed import Place, leave_others
from vqa.training.hardware import unseen_gpus
from vqa.training.loader import TrainingBatches
from vqa.training.loop import Life, RunLoop
from vqa.training.materials import Materials
from vqa.training.module import TrainingModule
from vqa.training.session import Session, lightning, quiet
from vqa.training.signals import StopSignals
from vqa.training.state import Progress

STEPS = 1_000_000
Done = Callable[[int], bool]
"""Told of the questions of each step, over all processes; False ends the training."""


def experiment(
    shape: Shape, precision: str, devices: int = 1, accelerator: str = "cpu", **encoder: Any
) -> Experiment:
    """What a person would write for this configuration."""
    frozen = not shape.pixels
    model: dict[str, Any] = {
        "image_encoder": {"name": "torchvision", "model": "resnet50", "frozen": frozen},
        "question_encoder": {
            "name": "lstm",
            "dim": 1024,
            "embedding_dim": 300,
            "embedding_dropout": 0.5,
            **encoder,
        },
        "fusion": {"name": "multiply", "dim": 1024},
        "head": {"name": "classifier", "hidden": [1024], "dropout": 0.5},
    }
    if shape.attention:
        model |= {
            "attention": {
                "name": "soft",
                "glimpses": 2,
                "hidden": 512,
                "dropout": 0.5,
                "grid_dropout": 0.5,
            },
            "fusion": {"name": "concat", "hidden": [1024], "dropout": 0.5},
            "head": {"name": "classifier", "dropout": 0.5},
        }
    data = {
        "store": "generated",
        "batch_size": shape.batch,
        "group_by_image": shape.grouped,
        "image_size": 448 if shape.attention else shape.pixels or 32,
        "augmentation": {"horizontal_flip": not frozen},
    }
    trainer = {
        "accelerator": accelerator,
        "devices": devices,
        "precision": precision,
        "max_steps": STEPS,
        "max_epochs": 100_000,
    }
    return parse_experiment({"data": data, "model": model, "trainer": trainer})


def table(questions: Questions) -> QuestionTable:
    """The questions as a store's would be."""
    count = len(questions)
    return QuestionTable(
        rows=np.arange(count),
        image=questions.image,
        image_rows=np.arange(int(questions.image.max()) + 1),
        texts=Texts(questions.tokens, questions.offsets),
        text=np.arange(count),
        answer_id=questions.answer_id,
        weight=questions.weight,
        label=np.full(count, -1),
        choices=None,
    )


def features(images: int, shape: Shape, device: str = "cpu") -> torch.Tensor:
    """Resident features, bfloat16 [images, positions, channels], normalised once."""
    size = (images, shape.positions, shape.channels)
    values = torch.empty(size, dtype=torch.bfloat16, device=device)
    for start in range(0, images, 64):
        part = values[start : start + 64]
        block = torch.randn(part.shape, device=device).relu_()
        part.copy_(nn.functional.normalize(block, dim=2))
    return values


def pictures(images: int, shape: Shape, device: str = "cpu") -> torch.Tensor:
    """Resident pictures of noise, uint8 [images, 3, height, width]."""
    size = (images, 3, shape.pixels, shape.pixels)
    return torch.randint(0, 256, size, dtype=torch.uint8, device=device)


class Watched(RunLoop):
    """The run's callback; it tells of every step and saves nothing."""

    done: Done

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        if not self.done(batch.whole or len(batch)):
            trainer.should_stop = True

    def _save(self, trainer: Any) -> None:
        return


def session(config: Experiment, questions: Questions, folder: Path) -> Session:
    """A session as `vqa train` opens it, but for the store."""
    height, width = config.data.image_size
    network = config.model.build(Sizes(height, width, WORDS + 1, ANSWERS), pretrained=False)
    store: Any = SimpleNamespace(fingerprint="generated")
    nothing = cast("Any", None)
    materials = Materials(store, nothing, nothing, nothing, table(questions), None)
    model = VQAModel(network, config, nothing, nothing, store.fingerprint)
    return Session(config, RunDirectory(folder), materials, model, Place.here())


def train(
    config: Experiment, questions: Questions, values: torch.Tensor, done: Done, shards: bool = False
) -> None:
    """Until `done` says no; of several processes this one, which has the features of its own images with `shards`."""
    with tempfile.TemporaryDirectory() as folder, StopSignals() as signals:
        opened = session(config, questions, Path(folder))
        opened.place.join(opened.device)
        module = TrainingModule(opened.model.network, config, STEPS, opened.plan.batches_an_epoch)
        module.watch.question_ids = [str(i) for i in range(len(questions))]
        module.batches = batches(config, opened, values, shards)
        checkpoints = Checkpoints(Path(folder), print)
        loop = Watched(
            Life(opened, Progress(), checkpoints, Mirrors(), signals),
            module,
            None,
            Journal(Path(folder) / "metrics.jsonl"),
            Display(STEPS, 0, 1, enabled=False),
        )
        loop.done = done
        with quiet(), unseen_gpus(opened.device):
            lightning(config.trainer, opened.device, loop, opened.place).fit(module)
        leave_others()


def batches(
    config: Experiment, opened: Session, values: torch.Tensor, shards: bool = False
) -> TrainingBatches:
    """The training stream over resident features."""
    images, bank, owner = len(opened.materials.train.image_rows), Resident(values), None
    place = opened.place
    if shards:
        owner = owners(images, place.world)
    return TrainingBatches(
        table=opened.materials.train,
        bank=bank if owner is None else Shard.of(bank, opened.held("train", place.rank), images),
        config=config.data,
        seed=config.seed,
        device=opened.device,
        start=Progress().position(1),
        count=STEPS,
        rank=place.rank,
        world=place.world,
        owner=owner,
    )


def encode(config: Experiment, questions: Questions) -> Iterator[int]:
    """The recurrent encoder alone, forward and backward."""
    encoder = config.model.question_encoder.build(WORDS + 1).train()
    texts, random = Texts(questions.tokens, questions.offsets), np.random.default_rng(0)
    half = config.trainer.precision == "bf16-mixed"
    while True:
        index = random.permutation(len(questions))[: config.data.batch_size]
        words = pack(texts, index, torch.device("cpu"))
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            vector = encoder(words).vector
        encoder.zero_grad()
        vector.backward(torch.ones_like(vector))
        yield len(index)


def tiny(precision: str) -> Experiment:
    """An experiment with next to no arithmetic, so that what surrounds a step can be timed."""
    model = {
        "image_encoder": {"name": "small", "channels": [8], "strides": [8], "frozen": True},
        "question_encoder": {"name": "lstm", "dim": 8, "embedding_dim": 8},
        "fusion": {"name": "multiply", "dim": 8},
    }
    data = {"store": "generated", "batch_size": 8, "image_size": 8}
    trainer = {
        "accelerator": "cpu",
        "precision": precision,
        "max_steps": STEPS,
        "max_epochs": 100_000,
    }
    return parse_experiment({"data": data, "model": model, "trainer": trainer})


def plain(config: Experiment, questions: Questions, values: torch.Tensor, done: Done) -> None:
    """The same module, batches and optimiser in a bare loop: what Lightning and the callback are compared with."""
    with tempfile.TemporaryDirectory() as folder:
        opened = session(config, questions, Path(folder))
        module = TrainingModule(opened.model.network, config, STEPS, opened.plan.batches_an_epoch)
        optimizer = module.configure_optimizers()["optimizer"]
        half = config.trainer.precision == "bf16-mixed"
        for batch in batches(config, opened, values):
            with torch.autocast("cpu", torch.bfloat16, enabled=half):
                loss = module.training_step(batch, 0)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            module.configure_gradient_clipping(optimizer)
            optimizer.step()
            if not done(len(batch)):
                return
