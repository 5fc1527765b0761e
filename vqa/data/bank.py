"""The pictures of a split, or what a frozen encoder made of them: resident on the device, or streamed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from vqa.data.cache.rows import RowFile
from vqa.machine import cores

LOAD_BYTES = 256_000_000
"""Bytes that are on their way to a GPU at a time when a split is loaded."""


class ImageBank(Protocol):
    """Gives pictures by their position in the split's list of images."""

    def fetch(self, index: np.ndarray) -> Tensor:
        """The pictures at `index`, on the device: 0…255, uint8 [images, 3, height, width]; or the grids that a
        frozen encoder or a detector made of them, float16 or bfloat16 [images, positions, channels]."""
        ...


@dataclass(frozen=True)
class Resident:
    """Every picture of the split in one tensor on the device."""

    values: Tensor

    def fetch(self, index: np.ndarray) -> Tensor:
        """Gather rows of the resident tensor."""
        place = torch.from_numpy(index).to(self.values.device, non_blocking=True)
        return self.values.index_select(0, place)


@dataclass(frozen=True)
class Shard:
    """The resident pictures of a split that one of several processes looks at.

    Attributes:
        part: those pictures.
        place: of each image of the split among them; −1 for one that is not here.
    """

    part: ImageBank
    place: np.ndarray

    @classmethod
    def of(cls, part: ImageBank, held: np.ndarray, images: int) -> Shard:
        """Of a split of so many images, those at `held`."""
        place = np.full(images, -1)
        place[held] = np.arange(len(held))
        return cls(part, place)

    def fetch(self, index: np.ndarray) -> Tensor:
        """Gather rows of the resident tensor."""
        return self.part.fetch(self.place[index])


class _Sender:
    """Sends what it has in pinned memory to a GPU, beside what that computes meanwhile."""

    device: torch.device

    def _sent(self, pinned: Tensor) -> Tensor:
        """A copy on the GPU; this thread waits for it."""
        with torch.cuda.stream(self._stream):
            sent = pinned.to(self.device, non_blocking=True)
        # Its memory is free once the default stream has used it.
        sent.record_stream(torch.cuda.default_stream(self.device))
        self._stream.synchronize()
        return sent

    @cached_property
    def _stream(self) -> torch.cuda.Stream:
        """One for all batches: the allocator keeps the blocks of each stream apart."""
        return torch.cuda.Stream(self.device)  # type: ignore[no-untyped-call]


@dataclass(frozen=True)
class Streamed(_Sender):
    """Reads the rows of each batch from a file.

    Attributes:
        rows: of the file, for each image of the split.
    """

    file: RowFile
    rows: np.ndarray
    device: torch.device

    def fetch(self, index: np.ndarray) -> Tensor:
        """Read, into pinned memory where a GPU waits for it."""
        rows, layout = self.rows[index], self.file.layout
        if self.device.type != "cuda":
            return self.file.read(rows)
        shape = (len(rows), *layout.shape)
        pinned = torch.empty(shape, dtype=layout.torch_dtype, pin_memory=True)
        return self._sent(self.file.read(rows, pinned))


@dataclass(frozen=True)
class Decoded(_Sender):
    """Decodes the pictures of each batch from the store.

    Attributes:
        rows: of the store's images, for each image of the split.
        decode: the pictures of some rows.
    """

    decode: Callable[[np.ndarray, int], Tensor]
    rows: np.ndarray
    device: torch.device

    def fetch(self, index: np.ndarray) -> Tensor:
        """Decode the pictures at `index`."""
        pictures = self.decode(self.rows[index], 1)
        if self.device.type != "cuda":
            return pictures.to(self.device)
        return self._sent(pictures.pin_memory())


@dataclass(frozen=True)
class Unseen:
    """Ones in place of pictures that nothing looks at: none is read."""

    device: torch.device

    def fetch(self, index: np.ndarray) -> Tensor:
        """One vector of one value a picture."""
        return torch.ones((), device=self.device).expand(len(index), 1, 1)


def on_device(device: torch.device) -> Callable[[], None] | None:
    """What a thread that sends to a GPU calls first: it begins on the first one, where it would take up memory."""
    return partial(torch.cuda.set_device, device) if device.type == "cuda" else None


def is_resident(bank: ImageBank) -> bool:
    """Whether nothing is read or decoded for a batch."""
    return isinstance(bank, Resident | Shard | Unseen)


def load(bank: Streamed | Decoded) -> Resident:
    """All of a bank's pictures on its device."""
    count, device = len(bank.rows), bank.device
    if isinstance(bank, Decoded):
        return Resident(bank.decode(bank.rows, cores()).to(device))
    layout = bank.file.layout
    values = torch.empty((count, *layout.shape), dtype=layout.torch_dtype, device=device)
    if device.type == "cpu":
        bank.file.read_all(bank.rows, values)
        return Resident(values)
    step = max(1, LOAD_BYTES // layout.row_bytes)
    for start in range(0, count, step):
        part = values[start : start + step]
        block = torch.empty(part.shape, dtype=part.dtype, pin_memory=device.type == "cuda")
        bank.file.read_all(bank.rows[start : start + step], block)
        part.copy_(block, non_blocking=True)
    return Resident(values)
