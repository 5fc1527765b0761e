"""The pictures of a split: decoded once and resident on the device, or streamed where they do not fit."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, TypeVar

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from vqa.data.image import decode_image
from vqa.data.store import Store

Resize = Literal["stretch", "fit", "crop"]
RESIDENT_SHARE = 0.5
T = TypeVar("T")


class ImageBank(Protocol):
    """Gives pictures by their position in the split's list of images."""

    def fetch(self, index: np.ndarray) -> UInt8[Tensor, "images 3 height width"]:
        """The pictures at `index`, on the device, 0…255."""
        ...


@dataclass(frozen=True)
class ResidentImages:
    """Every picture of the split in one tensor on the device."""

    pixels: UInt8[Tensor, "images 3 height width"]

    def fetch(self, index: np.ndarray) -> UInt8[Tensor, "images 3 height width"]:
        """Gather rows of the resident tensor."""
        return self.pixels.index_select(0, torch.from_numpy(index).to(self.pixels.device))


@dataclass(frozen=True)
class StreamedImages:
    """Decodes the pictures of each batch from the memory-mapped store."""

    store: Store
    image_rows: np.ndarray
    size: tuple[int, int]
    resize: Resize
    device: torch.device

    def fetch(self, index: np.ndarray) -> UInt8[Tensor, "images 3 height width"]:
        """Decode the pictures at `index`."""
        pixels = _decode(self.store, self.image_rows[index], self.size, self.resize, threads=1)
        return pixels.to(self.device, non_blocking=True)


def open_bank(
    store: Store,
    image_rows: np.ndarray,
    size: tuple[int, int],
    resize: Resize,
    device: torch.device,
    resident: Literal["auto", "always", "never"] = "auto",
) -> ImageBank:
    """Keep the pictures on `device` where they fit `RESIDENT_SHARE` of its free memory, else stream them."""
    needed = len(image_rows) * 3 * size[0] * size[1]
    fits = needed <= RESIDENT_SHARE * free_bytes(device)
    if resident == "never" or (resident == "auto" and not fits):
        return StreamedImages(store, image_rows, size, resize, device)
    return ResidentImages(
        _decode(store, image_rows, size, resize, threads=os.cpu_count() or 1).to(device)
    )


def free_bytes(device: torch.device) -> int:
    """Memory that can still be taken on `device`, in bytes."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(
            int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable")
        )
    except (OSError, StopIteration):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def ahead(work: Iterable[Callable[[], T]], threads: int) -> Iterator[T]:
    """Run `work` in order, up to `threads` pieces ahead of the consumer; 0 runs each when it is asked for."""
    if not threads:
        yield from (piece() for piece in work)
        return
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[T]] = deque()
        try:
            for piece in work:
                waiting.append(pool.submit(piece))
                if len(waiting) > threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _decode(
    store: Store, image_rows: np.ndarray, size: tuple[int, int], resize: Resize, threads: int
) -> UInt8[Tensor, "images 3 height width"]:
    """Decode pictures into one tensor; Pillow releases the interpreter lock, so threads help."""
    pixels = torch.empty((len(image_rows), 3, *size), dtype=torch.uint8)

    def fill(i: int) -> None:
        image = decode_image(store.image_bytes(int(image_rows[i])), size=size, resize=resize)
        pixels[i] = torch.from_numpy(image).permute(2, 0, 1)

    if threads == 1:
        for i in range(len(image_rows)):
            fill(i)
        return pixels
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(fill, range(len(image_rows))):
            pass
    return pixels
