"""TERM and INT end a run between two steps, with a checkpoint; a second INT ends it at once."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType

from vqa.training.directory import CANCELLED, PREEMPTED


class StopSignals:
    """While entered, notes the first signal in `status` instead of dying of it.

    Attributes:
        status: what this process was told to become: preempted (TERM), cancelled (INT), or None.
        agreed: what all processes of the run have become.
    """

    def __init__(self) -> None:
        self.status: str | None = None
        self.agreed: str | None = None
        self._before: dict[int, signal._HANDLER] = {}

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and self.status is not None:
            raise KeyboardInterrupt
        self.status = self.status or (PREEMPTED if number == signal.SIGTERM else CANCELLED)
