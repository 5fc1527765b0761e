"""Values that come one after the other, kept in a bounded number of buckets."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Buckets:
    """At most `most` buckets of equally many records each, the last one perhaps not full.

    Where they do not suffice any more, each takes twice as many records: neighbours become one.

    Attributes:
        first, last: steps; [buckets], as are the next four.
        sums, counts: of the finite values.
        lows, highs: of the finite values; infinite where there is none.
        records: in all.
        newest: the last finite value; NaN where there is none.
    """

    def __init__(self, most: int) -> None:
        self._most, self._stride = max(2, most), 1
        self.first = self.last = self.sums = self.lows = self.highs = np.zeros(0)
        self.counts: Ints = np.zeros(0, np.int64)
        self.records, self.newest = 0, float("nan")

    def add(self, steps: Floats, values: Floats) -> None:
        """Take further records; both [records]."""
        if not len(values):
            return
        finite = np.isfinite(values)
        if finite.any():
            self.newest = float(values[finite][-1])
        begins = np.arange(len(self.first)) * self._stride
        begins = np.concatenate([begins, self.records + np.arange(len(values))])
        self.records += len(values)
        while -(-self.records // self._stride) > self._most:
            self._stride *= 2
        cuts = np.flatnonzero(np.diff(begins // self._stride, prepend=-1))
        ends = np.append(cuts[1:], len(begins)) - 1
        self.first = np.concatenate([self.first, steps])[cuts]
        self.last = np.concatenate([self.last, steps])[ends]
        self.sums = _joined(np.add, self.sums, np.where(finite, values, 0.0), cuts)
        self.lows = _joined(np.minimum, self.lows, np.where(finite, values, np.inf), cuts)
        self.highs = _joined(np.maximum, self.highs, np.where(finite, values, -np.inf), cuts)
        self.counts = np.add.reduceat(np.concatenate([self.counts, finite]), cuts, dtype=np.int64)


def _joined(how: np.ufunc, before: Floats, after: Floats, cuts: Ints) -> Floats:
    with np.errstate(over="ignore"):
        joined: Floats = how.reduceat(np.concatenate([before, after]), cuts)
    return joined
