"""How long the dispatcher waits: for signs of life of a running job, for one that was asked to stop, for an engine.

Measured with this process's own clock, which stands still while the machine sleeps: no two clocks are compared, and
nothing is lost by closing a lid.
"""

from __future__ import annotations

import errno
import time
from enum import Enum
from pathlib import Path

from vqa.errors import EngineError, chain
from vqa.jobs.heartbeat import read_beat
from vqa.jobs.record import Job
from vqa.outputs import FAILING

KILL_SECONDS = 2.0
"""Time between two tries to kill."""
PASSING = FAILING | {errno.EAGAIN}
"""What the system says where it fails, or has no room, memory, files or processes left for now."""


def passes(error: BaseException) -> bool:
    """Whether an error, or what it came of, is this machine's and may pass, and no fault of a job."""
    return any(isinstance(one, OSError) and one.errno in PASSING for one in chain(error))


def last_beat(run_dir: Path, job: Job) -> int:
    """The first node's beat counter of this attempt; 0 where there was none yet."""
    beat = read_beat(run_dir)
    return beat.beat if beat is not None and beat.attempt == job.attempt else 0


class Leases:
    """For each running job, when its beat was last seen to move."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[tuple[int, int], float]] = {}

    def expired(self, job: Job, beat: int, seconds: float) -> bool:
        """Whether the beat has stood still for longer than `seconds`."""
        now, sign = time.monotonic(), (job.attempt, beat)
        last = self._seen.get(job.id)
        if last is None or last[0] != sign:
            self._seen[job.id] = (sign, now)
            return False
        return now - last[1] > seconds

    def forget(self, job: Job) -> None:
        """The job no longer runs."""
        self._seen.pop(job.id, None)


class Due(Enum):
    """What is to be done now with a job that shall stop."""

    ASK = "ask"
    WAIT = "wait"
    KILL = "kill"


class Stops:
    """For each job that shall stop, when it was asked and when it was last killed."""

    def __init__(self) -> None:
        self._next: dict[tuple[str, int], float] = {}

    def due(self, job: Job, grace_seconds: float, *, at_once: bool) -> Due:
        """Ask once, wait for the grace, then kill every other second; kill without asking where `at_once`."""
        key, now = (job.id, job.attempt), time.monotonic()
        if key not in self._next and not at_once:
            self._next[key] = now + grace_seconds + 1
            return Due.ASK
        if now < self._next.get(key, now):
            return Due.WAIT
        self._next[key] = now + KILL_SECONDS
        return Due.KILL

    def forget(self, job: Job) -> None:
        """The job no longer runs."""
        self._next.pop((job.id, job.attempt), None)


class Absences:
    """Engines that did not answer: left alone for a while, since each try may take as long as the last."""

    def __init__(self) -> None:
        self._until: dict[str, tuple[float, EngineError]] = {}

    def note(self, engine: str, error: EngineError, seconds: float) -> None:
        """Leave an engine alone for so long."""
        self._until[engine] = time.monotonic() + seconds, error

    def of(self, engine: str) -> EngineError | None:
        """What it last said; None where it may be asked."""
        until, error = self._until.get(engine, (0.0, None))
        return error if time.monotonic() < until else None


class Complaints:
    """What the log was told: what fails in the same way at every look is told once until it is over."""

    def __init__(self) -> None:
        self._last: dict[str, str] = {}

    def is_new(self, about: str, what: str) -> bool:
        """Whether this is another complaint than the last one about the same."""
        last, self._last[about] = self._last.get(about), what
        return last != what

    def over(self, about: str) -> None:
        """There is nothing to complain about any more."""
        self._last.pop(about, None)
