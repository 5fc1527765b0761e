"""Curves of a run for charts: its journal, however long, as some hundred buckets a name.

Downsampled, not truncated: every record is in one bucket, which keeps the least, the mean and the greatest of its
values, so that a spike of a single step is still seen.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from vqa.tracking.buckets import Buckets, Floats
from vqa.tracking.records import TAIL, Columns, Stretch, stretches

POINTS = 600
MOST_CURVES = 6000
"""Held by a cache; 30 KB each."""

READERS = 4


@dataclass(frozen=True)
class Curve:
    """One name's values over a run; every array [buckets], in the order of steps.

    Attributes:
        steps: the first bucket stands at its first step, the last at its last one, the others in their middle.
        means, lows, highs: of a bucket's finite values; NaN where it has none, a gap.
        records: how many have the name.
        odd: how many of these are NaN or infinite.
        last: the newest finite value; NaN where there is none.
    """

    steps: Floats
    means: Floats
    lows: Floats
    highs: Floats
    records: int
    odd: int
    last: float

    def to_json(self) -> dict[str, Any]:
        """JSON-ready; null for a gap."""
        arrays = {name: _plain(getattr(self, name)) for name in ("steps", "means", "lows", "highs")}
        return {**arrays, "records": self.records, "odd": self.odd, "last": _plain([self.last])[0]}


@dataclass(frozen=True)
class Curves:
    """A run's curves by name, in the order of names.

    Attributes:
        records: lines that are records.
        skipped: lines that are none, damaged ones.
        last_step: of the last record; None where there is none.
    """

    by_name: dict[str, Curve] = field(default_factory=dict)
    records: int = 0
    skipped: int = 0
    last_step: int | None = None

    def to_json(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "records": self.records,
            "skipped": self.skipped,
            "last_step": self.last_step,
            "curves": {name: curve.to_json() for name, curve in self.by_name.items()},
        }


def _plain(values: Sequence[float] | Floats) -> list[float | None]:
    return [value if math.isfinite(value) else None for value in map(float, values)]


def read_curves(
    journal: Path, points: int = POINTS, names: Collection[str] | None = None
) -> Curves:
    """Read a journal once.

    Args:
        journal: `metrics.jsonl`; one that is not there has no curves. A last line without its end is left out.
        points: at most so many buckets a name, at least half as many where there are enough records.
        names: only these; quicker.
    """
    reader = _Reader(points, None if names is None else frozenset(names))
    reader.read(journal)
    return reader.curves()


class CurveCache:
    """Curves of journals that are asked for again and again; for any number of threads.

    A journal that has not changed is not read again, of one that has grown only what is new. One that was cut back,
    or replaced, is read anew.

    Args:
        points: see `read_curves`.
        most: curves held over all journals; those asked for longest ago go first.
    """

    def __init__(self, points: int = POINTS, most: int = MOST_CURVES) -> None:
        self._points, self._most = points, most
        self._lock = threading.Lock()
        self._readers: OrderedDict[tuple[Path, frozenset[str] | None], _Reader] = OrderedDict()

    def read(self, journal: Path, names: Collection[str] | None = None) -> Curves:
        """As `read_curves`."""
        wanted = None if names is None else frozenset(names)
        reader = self._reader(journal, wanted)
        with reader.lock:
            reader.read(journal)
            found = reader.curves(wanted)
        self._forget()
        return found

    def read_all(
        self, journals: Sequence[Path], names: Collection[str] | None = None
    ) -> list[Curves]:
        """Of many journals, several at a time."""
        if len(journals) < 2:
            return [self.read(journal, names) for journal in journals]
        with ThreadPoolExecutor(READERS, "curves") as pool:
            return list(pool.map(lambda journal: self.read(journal, names), journals))

    def _reader(self, journal: Path, names: frozenset[str] | None) -> _Reader:
        with self._lock:
            key = (journal, None) if (journal, None) in self._readers else (journal, names)
            reader = self._readers.setdefault(key, _Reader(self._points, names))
            self._readers.move_to_end(key)
            return reader

    def _forget(self) -> None:
        """What was asked for longest ago, until the rest is few enough; the newest stays."""
        with self._lock:
            held = sum(reader.size for reader in self._readers.values())
            while held > self._most and len(self._readers) > 1:
                _, oldest = self._readers.popitem(last=False)
                held -= oldest.size


class _Reader:
    """What was read of one journal so far."""

    def __init__(self, points: int, names: frozenset[str] | None) -> None:
        self.lock, self._points, self._names = threading.Lock(), points, names
        self._clear()

    def _clear(self) -> None:
        self._buckets: dict[str, Buckets] = {}
        self._records = self._skipped = self._offset = 0
        self._last_step: int | None = None
        self._seen: tuple[int, int, int] | None = None
        self._tail = b""

    @property
    def size(self) -> int:
        """In curves; a journal without any takes room too."""
        return max(1, len(self._buckets))

    def read(self, journal: Path) -> None:
        """Catch up with the file."""
        try:
            file = journal.open("rb")
        except OSError:
            self._clear()
            return
        with file:
            stretch = Stretch.open(file, self._offset)
            if stretch.state == self._seen:
                return
            if not self._goes_on(stretch):
                self._clear()
                stretch = Stretch.open(file, 0)
            for part in stretches(stretch, self._names):
                self._add(part)
            self._seen = stretch.state

    def _goes_on(self, now: Stretch) -> bool:
        """Whether what was read still stands there, as far as the file's identity and the end of it tell."""
        same = self._seen is not None and self._seen[0] == now.state[0]
        return same and now.before(TAIL)[-len(self._tail) :] == self._tail if self._tail else same

    def _add(self, part: Columns) -> None:
        self._records += part.records
        self._skipped += part.skipped
        self._offset, self._tail = part.end, part.tail
        if part.last_step is not None:
            self._last_step = part.last_step
        for name, (steps, values) in part.columns.items():
            self._buckets.setdefault(name, Buckets(self._points)).add(steps, values)

    def curves(self, names: Collection[str] | None = None) -> Curves:
        """As they stand now."""
        shown = sorted(self._buckets if names is None else self._buckets.keys() & set(names))
        found = {name: _curve(self._buckets[name]) for name in shown}
        return Curves(found, self._records, self._skipped, self._last_step)


def _curve(buckets: Buckets) -> Curve:
    order = np.argsort(
        buckets.first, kind="stable"
    )  # steps go back where a journal was not cut back
    steps = np.floor((buckets.first + buckets.last) / 2)
    steps[0], steps[-1] = buckets.first[0], buckets.last[-1]
    finite = np.isfinite(buckets.lows)
    lows, highs = (np.where(finite, one, np.nan) for one in (buckets.lows, buckets.highs))
    counts = buckets.counts
    with np.errstate(invalid="ignore", over="ignore"):
        means = np.where(counts > 0, buckets.sums / np.maximum(counts, 1), np.nan)
    return Curve(
        steps[order],
        means[order],
        lows[order],
        highs[order],
        records=buckets.records,
        odd=buckets.records - int(counts.sum()),
        last=buckets.newest,
    )


@dataclass(frozen=True)
class Band:
    """One name over several runs that differ in their seed; every array [steps].

    Attributes:
        mean, low, high: mean, least and greatest over the runs that have come so far.
        runs: how many these are.
    """

    steps: Floats
    mean: Floats
    low: Floats
    high: Floats
    runs: Floats

    def to_json(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            name: _plain(getattr(self, name)) for name in ("steps", "mean", "low", "high", "runs")
        }


def seed_band(runs: Sequence[Curves], name: str, points: int = 200) -> Band | None:
    """The mean over runs of a name's curve, with the least and the greatest; None where no run has it.

    On every step at which a run has a bucket, where these are at most `points`; else on so many steps evenly apart.
    A run enters between its first and its last finite value, on a straight line between its buckets' means.
    """
    curves = [run.by_name[name] for run in runs if name in run.by_name]
    finite = [
        (one.steps[held], one.means[held])
        for one in curves
        if (held := np.isfinite(one.means)).any()
    ]
    if not finite:
        return None
    steps = np.unique(np.concatenate([one for one, _ in finite]))
    if len(steps) > points:
        steps = np.unique(np.round(np.linspace(steps[0], steps[-1], points)))
    values = np.stack(
        [np.interp(steps, at, mean, left=np.nan, right=np.nan) for at, mean in finite]
    )
    present = np.isfinite(values)
    here = present.any(axis=0)  # two runs may leave a gap between them
    steps, values, present = steps[here], values[:, here], present[:, here]
    return Band(
        steps,
        np.nanmean(values, axis=0),
        np.nanmin(values, axis=0),
        np.nanmax(values, axis=0),
        present.sum(axis=0).astype(np.float64),
    )
