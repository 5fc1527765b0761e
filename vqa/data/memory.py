"""The memory plan: what a run needs, what there is, and so whether pictures are resident or streamed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch

from vqa.formatting import size
from vqa.machine import free_memory, total_memory

SHARE = {"cpu": 0.5, "cuda": 0.9}
"""How much of a device's free memory a run takes: on a CPU others live there, too, and the file cache helps them."""


@dataclass(frozen=True)
class SplitMemory:
    """The pictures of a split.

    Attributes:
        images: of the split.
        held: the most of them that one process looks at.
        bytes: what those take where they are resident.
        why: what decided it.
        shard: this process's part, such as `1 of 2`, where processes look at pictures of their own; None where each
            looks at all.
    """

    split: str
    images: int
    held: int
    bytes: int
    resident: bool
    why: str
    shard: str | None = None

    def line(self) -> str:
        """To read."""
        count = f"{self.images:,} pictures"
        if self.shard is not None:
            count = f"{self.held:,} of {count}, shard {self.shard}"
        where = "resident" if self.resident else "streamed"
        return f"{self.split}: {count}, {size(self.bytes)}, {where} ({self.why})"


@dataclass(frozen=True)
class Held:
    """What a process may hold of a split: all of its pictures, or a shard of them.

    Attributes:
        images: pictures; the most that any process holds of them.
        shard: as in `SplitMemory`.
    """

    images: int
    shard: str | None = None


@dataclass(frozen=True)
class MemoryPlan:
    """What lies in the memory of a device.

    Attributes:
        device: which.
        total, free: its memory before anything was placed there, in bytes.
        share: how much of what is free is taken.
        what: what stands for a picture, such as `features 196×2048 bfloat16`.
        source: where that comes from, and why so.
        needs: everything but the pictures, in bytes.
        splits: the pictures.
    """

    device: str
    total: int
    free: int
    share: float
    what: str
    source: str
    needs: Mapping[str, int]
    splits: tuple[SplitMemory, ...]

    def resident(self, split: str) -> bool:
        """Whether the pictures of a split are to be resident."""
        return any(one.resident for one in self.splits if one.split == split)

    def sharded(self, split: str) -> bool:
        """Whether each process looks at pictures of its own."""
        return any(one.shard is not None for one in self.splits if one.split == split)

    def lines(self) -> list[str]:
        """The plan, to read."""
        needs = ", ".join(f"{name} {size(count)}" for name, count in self.needs.items())
        return [
            f"memory of {self.device}: {size(self.free)} of {size(self.total)} free, "
            f"{100 * self.share:.0f} % of that taken at most; {needs}",
            f"pictures: {self.what}, {self.source}",
            *(one.line() for one in self.splits),
        ]

    def to_json(self) -> dict[str, Any]:
        """Plain types."""
        names = ("device", "total", "free", "share", "what", "source")
        fields = {name: getattr(self, name) for name in names}
        return fields | {"needs": dict(self.needs), "splits": [vars(one) for one in self.splits]}


def place_splits(
    images: Mapping[str, int],
    row_bytes: int,
    room: int,
    wanted: Literal["auto", "always", "shards", "never"],
    shards: Mapping[str, Sequence[Held]] | None = None,
) -> tuple[SplitMemory, ...]:
    """Which splits are resident in `room` bytes, those that come first before the others.

    Args:
        images: pictures of each split.
        row_bytes: what one takes.
        room: bytes that are left for pictures.
        wanted: `data.resident`.
        shards: what a process may hold of a split, the best first, where that is not all of it: the first that fits
            is taken, and where none does the split is streamed as the first one is.
    """
    placed = []
    for split, count in images.items():
        choices = (shards or {}).get(split) or [Held(count)]
        fitting = next((one for one in choices if one.images * row_bytes <= room), None)
        demanded = wanted in ("always", "shards")
        held = choices[0] if fitting is None or wanted != "auto" else fitting
        resident = demanded or (wanted == "auto" and fitting is not None)
        size = held.images * row_bytes
        why = f"data.resident={wanted}"
        if wanted == "auto":
            why = _why(room, fitting, choices)
        room -= size if resident else 0
        placed.append(SplitMemory(split, count, held.images, size, resident, why, held.shard))
    return tuple(placed)


def _why(room: int, fitting: Held | None, choices: Sequence[Held]) -> str:
    if fitting is None:
        return f"{size(max(0, room))} are left for it"
    return "fits" if fitting is choices[0] else "fits, where all of it does not"


def free_bytes(device: torch.device) -> int:
    """Memory that can still be taken on `device`, in bytes."""
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        share = torch.cuda.get_per_process_memory_fraction(device)  # others may have the rest
        return min(free, round(share * total) - torch.cuda.memory_reserved(device))
    return free_memory()


def total_bytes(device: torch.device) -> int:
    """All memory of `device`, in bytes."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[1])
    return total_memory()
