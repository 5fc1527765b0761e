"""TERM and INT end a run between two steps, with a checkpoint, and at once where there are no steps."""

from __future__ import annotations

import signal
import threading
from abc import ABC, abstractmethod
from types import FrameType
from typing import Self

from typing_extensions import override

from vqa.training.directory import CANCELLED, PREEMPTED


class Stopped(BaseException):
    """A signal ends the run here.

    Args:
        status: preempted or cancelled.
    """

    def __init__(self, status: str) -> None:
        super().__init__(status)
        self.status = status


class Handling(ABC):
    """Takes TERM and INT while entered; only a main thread can."""

    def __init__(self) -> None:
        self._before: dict[int, signal._HANDLER] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._before[number] = signal.signal(number, self._take)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    @abstractmethod
    def _take(self, number: int, frame: FrameType | None) -> None:
        """What a signal does."""


class StopSignals(Handling):
    """What TERM and INT do to a process that trains, while entered.

    Between the steps of training they are noted; before and after, the first one raises `Stopped`. A second INT
    ends the process at once.

    Attributes:
        status: what this process was told to become: preempted (TERM), cancelled (INT), or None.
        agreed: what all processes of the run have become.
    """

    def __init__(self) -> None:
        super().__init__()
        self.status: str | None = None
        self.agreed: str | None = None
        self._noting = self._interrupted = False

    def note(self) -> None:
        """From here on signals are noted alone: somebody looks at `status` soon, or nothing may come between."""
        self._noting = True

    def heed(self) -> None:
        """From here on a signal ends the run where it stands; one that was noted does so now.

        Raises:
            Stopped: there was one.
        """
        if self.status is not None:
            raise Stopped(self.status)
        self._noting = False

    @override
    def _take(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and self._interrupted:
            raise KeyboardInterrupt
        self._interrupted |= number == signal.SIGINT
        self.status = self.status or (PREEMPTED if number == signal.SIGTERM else CANCELLED)
        if not self._noting:
            self._noting = True
            raise Stopped(self.status)


class StopRequests(Handling):
    """Notes TERM and INT in a process that watches over others, while entered.

    Attributes:
        received: the signals, in their order.
    """

    def __init__(self) -> None:
        super().__init__()
        self.received: list[int] = []

    @override
    def _take(self, number: int, frame: FrameType | None) -> None:
        self.received.append(number)
