"""How processes end: with the one that started them, and without delay."""

from __future__ import annotations

import atexit
import ctypes
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn

PR_SET_PDEATHSIG = 1


def die_with(parent: int) -> Callable[[], None]:
    """Something to call in a child: from then on the kernel kills it when `parent` dies, however that dies (Linux).

    The kernel looks at the thread that forked the child: let it be the main one.
    """
    library = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None

    def prepare() -> None:
        if library is not None:
            library.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:
                os._exit(1)

    return prepare


@contextmanager
def interruptible() -> Iterator[None]:
    """Let a polite kill clean up as Ctrl-C does; only a program's main thread hears of one."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, _: object) -> NoReturn:
        raise KeyboardInterrupt(signal.Signals(number).name)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class Ending:
    """Ends this process without freeing its objects one by one, which takes over a second once torch is imported.

    Before that threads are waited for, what was registered with `atexit` since is called, and what was printed is
    flushed, as ever. An exception that nobody caught ends the process in Python's own way.
    """

    def __init__(self) -> None:
        self._code: int | None = None
        atexit.register(self._end)  # the first to be registered is the last to be called

    def at(self, code: int) -> int:
        """`code`, which is to be the exit code."""
        self._code = code
        return code

    def _end(self) -> None:
        if self._code is None:
            return
        try:
            for stream in filter(None, (sys.stdout, sys.stderr)):  # None where it is closed
                stream.flush()
        except (OSError, ValueError):  # Python tells of it as it ends
            return
        os._exit(self._code)
