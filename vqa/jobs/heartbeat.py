"""Heartbeats: a runner shows that it lives, by a counter in a file that others look at from their own clocks."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vqa.jobs.processes import start_time
from vqa.training.disk import replace_text

BEAT_SECONDS = 1.0


@dataclass(frozen=True)
class Beat:
    """What a heartbeat file says.

    Attributes:
        job, attempt, node: whose life it is.
        host, pid, start_time: the runner's process; the start in seconds since its machine's.
        beat: counts up from 1.
        time: Unix time, for people; machines' clocks differ.
    """

    job: str
    attempt: int
    node: int
    host: str
    pid: int
    start_time: float
    beat: int
    time: float


class Heartbeat:
    """Writes `heartbeats/<node>.json` once a second.

    Never raises: on a full disk the old file is overwritten in its place, and where even that fails the counter
    stands still, which is the truth.

    Args:
        run_dir: the run directory.
    """

    def __init__(self, run_dir: Path, job: str, attempt: int, node: int) -> None:
        self._file = beat_file(run_dir, node)
        self._life = (job, attempt, node, socket.gethostname(), os.getpid())
        self._started = start_time(os.getpid()) or 0.0
        self._beat, self._due = 0, 0.0

    @property
    def last(self) -> Beat:
        """The last beat."""
        return Beat(*self._life, self._started, self._beat, round(time.time(), 3))

    def tick(self) -> None:
        """Beat, if it is time."""
        now = time.monotonic()
        if now >= self._due:
            self._due = now + BEAT_SECONDS
            self.beat()

    def beat(self) -> None:
        """Beat now."""
        self._beat += 1
        text = json.dumps(asdict(self.last)) + "\n"
        with contextlib.suppress(OSError):
            self._write(text)

    def _write(self, text: str) -> None:
        try:
            self._file.parent.mkdir(exist_ok=True)
            replace_text(self._file, text)
        except OSError:
            descriptor = os.open(self._file, os.O_WRONLY)
            try:
                os.pwrite(descriptor, text.encode().ljust(os.fstat(descriptor).st_size), 0)
            finally:
                os.close(descriptor)


def beat_file(run_dir: Path, node: int) -> Path:
    """Where the runner of a node beats."""
    return run_dir / "heartbeats" / f"{node}.json"


def read_beat(run_dir: Path, node: int = 0) -> Beat | None:
    """The last beat of a node's runner; None where there is none that can be read."""
    try:
        fields: dict[str, Any] = json.loads(beat_file(run_dir, node).read_text(encoding="utf-8"))
        return Beat(**fields)
    except (OSError, ValueError, TypeError):
        return None
