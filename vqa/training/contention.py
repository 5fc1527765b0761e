"""Whether other programs take the cores from a process that trains.

Its threads meet after every operation, some hundred times a step. Where one of them has no core, the others wait for
it, turning on cores that it could have: two threads are then several times slower than one.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from vqa.machine import PROC

SECONDS = 10.0
"""How long is looked at a time."""
SHARE = 0.2
"""Of that time without a core, from which on it is told."""
NANOSECONDS = 1e9


class Contention:
    """Looks how long the thread that trains was ready and had no core, as the kernel counts it (Linux: the second
    figure of `schedstat`; see the kernel's Documentation/scheduler/sched-stats.rst).

    Args:
        threads: that compute together.
        proc, clock: where and when to look.
    """

    def __init__(
        self, threads: int, proc: Path = PROC, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._threads, self._clock = threads, clock
        self._file = proc / "thread-self" / "schedstat"
        self._since, self._before = clock(), self._waited()
        self._told = threads == 1 or self._before is None

    def remark(self) -> str | None:
        """What a person should know; once, and as soon as it was so for a while."""
        now = self._clock()
        span = now - self._since
        if self._told or span < SECONDS:
            return None
        waited, before = self._waited(), self._before
        share = ((waited or 0) - (before or 0)) / NANOSECONDS / span
        self._since, self._before, self._told = now, waited, share >= SHARE
        if share < SHARE:
            return None
        return (
            f"cores are short here: training waited for one {share:.0%} of the last {span:.0f} seconds (other programs"
            f" have them, or a container's limit is met), and its {self._threads} threads wait for each other; a small"
            " model may learn sooner with OMP_NUM_THREADS=1 in its environment (its sums are rounded otherwise then)"
        )

    def _waited(self) -> int | None:
        """Nanoseconds so far; None where the kernel does not count them."""
        try:
            return int(self._file.read_text().split()[1])
        except (OSError, ValueError, IndexError):
            return None
