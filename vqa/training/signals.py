"""TERM and INT end a run between two steps, with a checkpoint; a second INT ends it at once."""

from __future__ import annotations

import signal
import threading
from types import FrameType

from vqa.training.directory import CANCELLED, PREEMPTED


class StopSignals:
    """Notes the first signal in `status` instead of dying of it, from `install` to `restore`.

    Installed once Lightning has its own handlers: those end the process with code 0 after TERM.

    Attributes:
        status: what this process was told to become: preempted (TERM), cancelled (INT), or None.
        agreed: what all processes of the run have become.
    """

    def __init__(self) -> None:
        self.status: str | None = None
        self.agreed: str | None = None
        self._before: dict[int, signal._HANDLER] = {}

    def install(self) -> None:
        """Take over; only a main thread can."""
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._before[number] = signal.signal(number, self._note)

    def restore(self) -> None:
        """Put back the handlers that were there before."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def _note(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and self.status is not None:
            raise KeyboardInterrupt
        self.status = self.status or (PREEMPTED if number == signal.SIGTERM else CANCELLED)
