"""Memory for batches that is used again once nothing refers to it."""

from __future__ import annotations

import math
import weakref
from collections import deque
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Buffers:
    """Gives tensors on the CPU out of a few lasting blocks of memory.

    What a thread takes anew for each batch comes from the kernel page by page, which makes a step that streams grids
    a tenth longer. A block comes back when the last tensor that looks at it is gone, whichever thread held that.
    """

    _free: deque[np.ndarray] = field(default_factory=deque)

    def take(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """A tensor of any content."""
        count = math.prod(shape)
        size = max(1, count) * dtype.itemsize
        block = self._fitting(size)
        # `from_numpy` holds this object, and not the block, until nothing looks at the memory any more.
        part = block[:size]
        weakref.finalize(part, self._free.append, block).atexit = False
        return torch.from_numpy(part).view(dtype)[:count].view(shape)

    def _fitting(self, size: int) -> np.ndarray:
        """A free block that is large enough; smaller ones are let go."""
        while self._free:
            try:
                block = self._free.popleft()
            except IndexError:  # another thread was faster
                break
            if len(block) >= size:
                return block
        return np.empty(size, dtype=np.uint8)
