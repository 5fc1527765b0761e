"""Answers are withheld from a whole split, as in a challenge's test set, or missing by mistake."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from vqa.data.record import NO_LABEL, BadRow, Row

REASON = "no answers, where other records of the split have some"


class Withheld:
    """Tells a split whose answers are withheld from records whose answers are missing.

    Records without answers wait until one of their split has answers, which makes them unusable.
    No more than `max_bad` wait: beyond that nothing would be written if they were unusable, so they
    pass at once, and only their names are kept.

    Args:
        max_bad: how many unusable records are borne.
    """

    def __init__(self, max_bad: int) -> None:
        self._max_bad = max_bad
        self._answered: set[str] = set()
        self._waiting: defaultdict[str, list[Row]] = defaultdict(list)
        self._passed: defaultdict[str, list[str]] = defaultdict(list)

    def sift(self, rows: Iterator[Row | BadRow]) -> Iterator[Row | BadRow]:
        """Yield every record; one that has passed is yielded again where it proves unusable."""
        for row in rows:
            if isinstance(row, BadRow):
                yield row
            elif row.example.answers or row.example.label != NO_LABEL:
                yield from self._missing(row.example.split)
                yield row
            else:
                yield from self._without(row)
        for waiting in self._waiting.values():
            yield from waiting

    def _missing(self, split: str) -> Iterator[BadRow]:
        """What stood without answers in a split that turns out to have some."""
        if split in self._answered:
            return
        self._answered.add(split)
        for where in self._passed.pop(split, []):
            yield BadRow(where, REASON)
        for row in self._waiting.pop(split, []):
            yield BadRow(row.where, REASON)

    def _without(self, row: Row) -> Iterator[Row | BadRow]:
        split = row.example.split
        if split in self._answered:
            yield BadRow(row.where, REASON)
            return
        self._waiting[split].append(row)
        if split in self._passed or len(self._waiting[split]) > self._max_bad:
            waiting = self._waiting.pop(split)
            self._passed[split].extend(waited.where for waited in waiting)
            yield from waiting
