"""Which names a journal has, without reading all of a long one."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from vqa.tracking.journal import BESIDE, tail

LOOKS, LOOK_BYTES = 16, 65_536
"""Places in a long journal that are looked at, and how much of each."""
FIRST = ("val/", "train/loss", "train/")


def sampled_names(journal: Path) -> list[str]:
    """The names in a journal, in order: all of a short one's, of a long one those in some places of it, its ends
    among them. Empty where there is none."""
    try:
        with journal.open("rb") as file:
            size = file.seek(0, 2)
            names: set[str] = set()
            for look in range(LOOKS):
                file.seek(max(0, size - LOOK_BYTES) * look // (LOOKS - 1))
                names |= _names(file.read(LOOK_BYTES))
    except OSError:
        return []
    return sorted(names - BESIDE)


def recent_names(journals: Iterable[Path]) -> list[str]:
    """The names in the last records of these journals, what people look at before anything else first."""
    names = {name for journal in journals for name in _names(tail(journal, LOOK_BYTES))} - BESIDE
    return sorted(names, key=lambda name: (_rank(name), name))


def _rank(name: str) -> int:
    return next((at for at, prefix in enumerate(FIRST) if name.startswith(prefix)), len(FIRST))


def _names(text: bytes) -> set[str]:
    """Of the whole lines in it."""
    found: set[str] = set()
    for line in text.split(b"\n"):
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(record, dict):
            found |= {name for name, value in record.items() if isinstance(value, int | float)}
    return found
