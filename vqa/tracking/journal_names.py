"""Which curves journals have, from their ends: quick however long they are."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from vqa.tracking.records import NO_CURVE

TAIL_BYTES = 65_536
FIRST = ("val/", "train/loss", "train/")
"""What people look at before anything else."""


def recent_names(journals: Iterable[Path]) -> list[str]:
    """Names in the last records of these journals, validation first."""
    names = {name for journal in journals for name in _names(journal)}
    return sorted(names, key=lambda name: (_rank(name), name))


def _rank(name: str) -> int:
    return next((at for at, prefix in enumerate(FIRST) if name.startswith(prefix)), len(FIRST))


def _names(journal: Path) -> set[str]:
    try:
        with journal.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - TAIL_BYTES))
            lines = file.read().splitlines()
    except OSError:
        return set()
    return {name for line in lines for name in _numbers(line)} - NO_CURVE


def _numbers(line: bytes) -> list[str]:
    """The names of a record that hold a number; none of a line that is cut or damaged."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return []
    pairs = record.items() if isinstance(record, dict) else ()
    return [name for name, value in pairs if isinstance(value, int | float)]
