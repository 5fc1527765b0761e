"""The memory plan: what a run needs, what there is, and so whether pictures are resident or streamed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from vqa.data.cache.place import gigabytes

SHARE = {"cpu": 0.5, "cuda": 0.9}
"""How much of a device's free memory a run takes: on a CPU others live there, too, and the file cache helps them."""


@dataclass(frozen=True)
class SplitMemory:
    """The pictures of a split.

    Attributes:
        bytes: what they take where they are resident.
        why: what decided it.
    """

    split: str
    images: int
    bytes: int
    resident: bool
    why: str


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

    def lines(self) -> list[str]:
        """The plan, to read."""
        needs = ", ".join(f"{name} {gigabytes(count)}" for name, count in self.needs.items())
        return [
            f"memory of {self.device}: {gigabytes(self.free)} of {gigabytes(self.total)} free, "
            f"{100 * self.share:.0f} % of that taken at most; {needs}",
            f"pictures: {self.what}, {self.source}",
            *(
                f"{one.split}: {one.images:,} pictures, {gigabytes(one.bytes)}, "
                f"{'resident' if one.resident else 'streamed'} ({one.why})"
                for one in self.splits
            ),
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
    wanted: Literal["auto", "always", "never"],
) -> tuple[SplitMemory, ...]:
    """Which splits are resident in `room` bytes, those that come first before the others.

    Args:
        images: pictures of each split.
        row_bytes: what one takes.
        room: bytes that are left for pictures.
        wanted: `data.resident`.
    """
    placed = []
    for split, count in images.items():
        size = count * row_bytes
        fits = size <= room
        resident = wanted == "always" or (wanted == "auto" and fits)
        why = f"data.resident={wanted}"
        if wanted == "auto":
            why = "fits" if fits else f"{gigabytes(max(0, room))} are left for it"
        room -= size if resident else 0
        placed.append(SplitMemory(split, count, size, resident, why))
    return tuple(placed)
