"""The training stream that Lightning iterates: every batch of the run in order, from any position."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from vqa.config import DataConfig
from vqa.data.ahead import ahead
from vqa.data.augment import augment
from vqa.data.bank import ImageBank, Unseen, is_resident, on_device
from vqa.data.batches import Batch, Batcher
from vqa.data.order import Position, Stream
from vqa.data.table import QuestionTable


@dataclass(frozen=True)
class TrainingBatches:
    """`count` batches from `start`, on the device; to Lightning one long epoch, so that the only state of a run's
    data is its position.

    Attributes:
        owner: the process that takes the questions of each image; None: any takes any.
    """

    table: QuestionTable
    bank: ImageBank
    config: DataConfig
    seed: int
    device: torch.device
    start: Position
    count: int
    rank: int = 0
    world: int = 1
    owner: np.ndarray | None = None

    @property
    def stream(self) -> Stream:
        """The order of this process's questions."""
        config = self.config
        return Stream(
            self.table.image,
            config.batch_size,
            self.seed,
            config.group_by_image,
            self.rank,
            self.world,
            self.table.texts.lengths[self.table.text] if config.group_by_length else None,
            self.owner,
            config.group_size,
        )

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Batch]:
        threads = 0 if is_resident(self.bank) else self.config.workers
        return ahead(self._work(), threads, on_device(self.device))

    def _work(self) -> Iterator[Callable[[], Batch]]:
        batcher, stream = Batcher(self.table, self.device), self.stream
        for position, index, whole in stream.batches(self.start, self.count):
            share = len(index) * self.world / whole
            if not len(index):
                index = stream.stand_in(position, whole // self.world)
            yield partial(self._gather, batcher, position, index, share, whole)

    def _gather(
        self, batcher: Batcher, position: Position, index: np.ndarray, share: float, whole: int
    ) -> Batch:
        distinct, image_of_question = np.unique(self.table.image[index], return_inverse=True)
        seed = (self.seed, position.epoch, position.index, self.rank)
        images = self.bank.fetch(distinct)
        if not isinstance(self.bank, Unseen):
            images = augment(images, self.config.augmentation, seed)
        return batcher.gather(index, images, image_of_question, share, whole)
