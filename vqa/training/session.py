"""One process's view of a run: what it trains, where, and for how long."""

from __future__ import annotations

import logging
import math
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.strategies import DDPStrategy, Strategy

from vqa.config import Experiment, TrainerConfig
from vqa.data.bank import ImageBank
from vqa.data.order import batches_an_epoch, owners
from vqa.errors import ConfigError
from vqa.export import VQAModel
from vqa.training.directory import RunDirectory
from vqa.training.distributed import Place, backend_for
from vqa.training.hardware import choose_device
from vqa.training.loader import TrainingBatches
from vqa.training.materials import Materials
from vqa.training.pictures import Pictures, arrange_pictures
from vqa.training.state import Progress
from vqa.training.validation import Validation


@dataclass(frozen=True)
class Plan:
    """How long a run is, in batches and in optimiser steps."""

    batches_an_epoch: int
    batches: int
    steps: int

    @property
    def epochs(self) -> int:
        """Epochs, the last one begun counted whole."""
        return math.ceil(self.batches / max(1, self.batches_an_epoch))


@dataclass(frozen=True)
class Session:
    """Everything that stays the same while a process trains.

    Attributes:
        experiment: as it was submitted, but for a precision that is settled.
    """

    experiment: Experiment
    run: RunDirectory
    materials: Materials
    model: VQAModel
    place: Place

    @cached_property
    def device(self) -> torch.device:
        """Where this process computes."""
        return choose_device(self.experiment.trainer)

    @property
    def whole_batch(self) -> int:
        """Questions of a batch over all processes: no more than there are to learn from."""
        return min(self.experiment.data.batch_size, len(self.materials.train))

    @cached_property
    def plan(self) -> Plan:
        """How long the run is."""
        config = self.experiment.trainer
        questions, size = len(self.materials.train), self.experiment.data.batch_size
        an_epoch = batches_an_epoch(questions, size, self.place.world)
        batches = an_epoch * config.max_epochs
        if config.max_steps >= 0:
            batches = min(batches, config.max_steps * config.accumulate_grad_batches)
        return Plan(an_epoch, batches, math.ceil(batches / config.accumulate_grad_batches))

    def check(self) -> None:
        """Refuse a device that is not there or cannot compute as is wanted, or a split that is too small.

        Raises:
            ConfigError: it is so.
        """
        _ = self.device, self.plan
        if self.device.type == "cpu" and self.experiment.trainer.precision == "16-mixed":
            raise ConfigError(
                "trainer.precision: 16-mixed wants a GPU, and this run has none",
                where=str(self.run.path),
                fix="use bf16-mixed or 32-true",
            )

    @cached_property
    def pictures(self) -> Pictures:
        """Where pictures come from and where they lie; features are made, where the experiment can have them.

        Raises:
            DataError: too little room for what the experiment demands.
        """
        return arrange_pictures(self)

    def bank(self, split: str) -> ImageBank:
        """The pictures of a split, `train` or `validation`."""
        materials, pictures = self.materials, self.pictures
        table = {"train": materials.train, "validation": materials.validation}[split]
        assert table is not None
        held = self.held(split, self.place.rank) if pictures.plan.sharded(split) else None
        resident = pictures.plan.resident(split)
        return pictures.supply.bank(table.image_rows, resident=resident, held=held)

    def held(self, split: str, rank: int) -> np.ndarray:
        """The images of a split that process `rank` looks at, where each process has its own: of training every so
        manieth, of validation those of the batches at which it takes its turn."""
        materials, world = self.materials, self.place.world
        if split == "train":
            return np.flatnonzero(owners(len(materials.train.image_rows), world) == rank)
        assert materials.validation is not None
        size, predictor = self.experiment.evaluation.batch_size, self.model.predictor(self.device)
        return predictor.images(materials.validation, size, rank, world)

    def batches(self, progress: Progress) -> TrainingBatches:
        """What is left of the training stream."""
        return TrainingBatches(
            table=self.materials.train,
            bank=self.bank("train"),
            config=self.experiment.data,
            seed=self.experiment.seed,
            device=self.device,
            start=progress.position(self.plan.batches_an_epoch),
            count=self.plan.batches - progress.batches,
            rank=self.place.rank,
            world=self.place.world,
            owner=owners(len(self.materials.train.image_rows), self.place.world)
            if self.pictures.plan.sharded("train")
            else None,
        )

    def validation(self) -> Validation | None:
        """The questions that choose the best checkpoint."""
        table = self.materials.validation
        if table is None:
            return None
        return Validation(table, self.bank("validation"), self.experiment.evaluation.batch_size)

    def warn(self, message: str) -> None:
        """Say what a person should know, once for all processes, and note it in the run's events."""
        if self.place.first:
            self.run.event("warning", message=message)
            print(f"vqa: {message}", file=sys.stderr)

    def counts(self) -> dict[str, int]:
        """Sizes that stand in `result.json`."""
        parameters = list(self.model.network.parameters())
        return {
            "parameters": sum(p.numel() for p in parameters),
            "trained_parameters": sum(p.numel() for p in parameters if p.requires_grad),
            "training_questions": len(self.materials.train),
            "training_images": len(self.materials.train.image_rows),
            "words": len(self.materials.tokenizer),
            "answers": len(self.materials.vocabulary),
        }


def lightning(
    config: TrainerConfig, device: torch.device, callback: Callback, place: Place
) -> Trainer:
    """Lightning for one long epoch; journal, validation and checkpoints are the callback's."""
    assert config.precision != "auto", "settled when the run began"
    cpu = device.type == "cpu"
    strategy: Strategy | str = "auto"
    if place.world > 1:
        strategy = DDPStrategy(
            process_group_backend=backend_for(device), gradient_as_bucket_view=True
        )
    trainer = Trainer(
        accelerator="cpu" if cpu else "gpu",
        devices=config.devices,
        num_nodes=config.num_nodes,
        strategy=strategy,
        plugins=[LightningEnvironment()],
        precision=config.precision,
        max_epochs=1,
        min_epochs=0,
        accumulate_grad_batches=config.accumulate_grad_batches,
        callbacks=[callback],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
    )
    _leave_signals_alone(trainer)
    return trainer


def _leave_signals_alone(trainer: Trainer) -> None:
    """Lightning's own handlers end the process with code 0 after TERM, or wait for the other ranks in the handler."""
    trainer._signal_connector.register_signal_handlers = lambda: None  # type: ignore[method-assign]


@contextmanager
def quiet() -> Iterator[None]:
    """Keep back Lightning's hints about loaders and loggers that this program does not use."""
    logger = logging.getLogger("pytorch_lightning")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="pytorch_lightning")
            warnings.filterwarnings("ignore", message="The `srun` command is available")
            warnings.filterwarnings("ignore", message=".*eval mode at the start of training.*")
            # A gradient scaler leaves steps out, and the first may be one.
            warnings.filterwarnings("ignore", message="Detected call of `lr_scheduler.step")
            yield
    finally:
        logger.setLevel(level)
