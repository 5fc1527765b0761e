"""The order in which questions are met: a pure function of (seed, epoch), so that a run resumes at any index."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Position:
    """The next batch of a training stream."""

    epoch: int = 0
    index: int = 0


def epoch_order(
    image: np.ndarray,
    seed: int,
    epoch: int,
    *,
    grouped: bool,
    group_size: int = 0,
    length: np.ndarray | None = None,
    batch_size: int = 1,
) -> np.ndarray:
    """A permutation of the questions for one epoch; int64 [questions].

    Args:
        image: the image of every question; int [questions].
        grouped: shuffle the images and keep the questions of each together (in a shuffled order).
        group_size: with `grouped`, keep at most so many together, chosen anew in each epoch; 0 keeps all.
        length: words of each question: every run of `batch_size` is to have questions of one length, as far as
            there are enough. Only where two lengths meet a batch has both; the last one, if smaller, has any.
        batch_size: questions a batch; counts with `length` alone.
    """
    random = np.random.default_rng([seed, epoch])
    order = random.permutation(len(image))
    if length is not None:
        return _by_length(order, length, batch_size, random)
    if not grouped:
        return order
    group, groups = image[order], int(image.max()) + 1
    if group_size:
        group, groups = _split(group, group_size)
    return order[np.argsort(random.permutation(groups)[group], kind="stable")]


def _split(image: np.ndarray, size: int) -> tuple[np.ndarray, int]:
    """Groups of at most `size` questions of one image, in the order given: each question's, and their number."""
    by_image, counts = np.argsort(image, kind="stable"), np.bincount(image)
    nth = np.empty_like(by_image)
    nth[by_image] = np.arange(len(image)) - np.repeat(np.cumsum(counts) - counts, counts)
    groups = -(-counts // size)
    return (np.cumsum(groups) - groups)[image] + nth // size, int(groups.sum())


def _by_length(
    order: np.ndarray, length: np.ndarray, batch_size: int, random: np.random.Generator
) -> np.ndarray:
    """Full batches of one length each, in a random order, then the rest of a shuffled `order`."""
    batches = len(order) // batch_size
    full, rest = np.split(order, [batches * batch_size])
    sorted_full = full[np.argsort(length[full], kind="stable")].reshape(batches, batch_size)
    return np.concatenate((sorted_full[random.permutation(batches)].ravel(), rest))


def batches_an_epoch(questions: int, batch_size: int, processes: int) -> int:
    """Batches an epoch; a last one with fewer questions than processes is left out."""
    full, rest = divmod(questions, batch_size)
    return full + (rest >= processes)


@dataclass(frozen=True)
class Stream:
    """Every batch of a training run, cut the same way for any number of processes.

    A global batch is a run of the epoch's order; process `rank` of `world` takes its contiguous share, so one
    optimiser step sees the same questions whatever `world` is. The last batch of an epoch may be smaller; where it
    has fewer questions than processes it is left out. With `length`, batches are of questions of one length.

    With `owner`, the process of each image, a process takes the questions whose image is its own: few or many of a
    batch, now and then none (see `stand_in`).
    """

    image: np.ndarray
    batch_size: int
    seed: int
    grouped: bool
    rank: int = 0
    world: int = 1
    length: np.ndarray | None = None
    owner: np.ndarray | None = None
    group_size: int = 0

    def __len__(self) -> int:
        """Batches an epoch."""
        return batches_an_epoch(len(self.image), self.batch_size, self.world)

    def batches(self, start: Position, count: int) -> Iterator[tuple[Position, np.ndarray, int]]:
        """Yield `count` batches from `start`: position, this process's questions, size of the global batch."""
        epoch, index = start.epoch, start.index
        while count > 0:
            order = epoch_order(
                self.image,
                self.seed,
                epoch,
                grouped=self.grouped,
                group_size=self.group_size,
                length=self.length,
                batch_size=self.batch_size,
            )
            for i in range(index, min(len(self), index + count)):
                whole = order[i * self.batch_size : (i + 1) * self.batch_size]
                yield Position(epoch, i), self._own(whole), len(whole)
                count -= 1
            epoch, index = epoch + 1, 0

    def _own(self, whole: np.ndarray) -> np.ndarray:
        if self.owner is None:
            return np.array_split(whole, self.world)[self.rank]
        own: np.ndarray = whole[self.owner[self.image[whole]] == self.rank]
        return own

    def stand_in(self, position: Position, count: int) -> np.ndarray:
        """Questions of this process's own for a batch of which it has none: it must take part in the step, and they
        are to count for nothing. At most `count`, so that statistics over a batch stay what they are."""
        assert self.owner is not None
        own = np.flatnonzero(self.owner[self.image] == self.rank)
        random = np.random.default_rng([self.seed, position.epoch, position.index, self.rank])
        return random.choice(own, min(count, len(own)), replace=False)


def owners(images: int, world: int) -> np.ndarray:
    """The process that holds each image of a split; int64 [images]."""
    return np.arange(images) % world


def shares(count: int, batch_size: int, rank: int = 0, world: int = 1) -> Iterator[np.ndarray]:
    """Cut 0…count−1 into batches for evaluation, the same for any `world`; processes take turns at them."""
    for start in range(rank * batch_size, count, world * batch_size):
        yield np.arange(start, min(start + batch_size, count))
