"""Locks between processes, each of a file; the kernel releases them at any death."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from vqa.errors import EngineError
from vqa.outputs import naming

PATIENCE_SECONDS, POLL_SECONDS = 30.0, 0.005
"""Of who waits for a turn: as long as for the queue's own lock, so that a server's threads come back."""


class Lock:
    """The lock of one file, which is made where it is missing.

    Args:
        path: in a folder that is there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def take(self, *, shared: bool = False) -> bool:
        """Whether this holds it now; False where another one does. Holding it already, it goes on doing so.

        Args:
            shared: several may hold it so, beside nobody who holds it alone.
        """
        if self._descriptor is not None:
            return True
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        return self._hold(descriptor, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)

    def adopt(self, descriptor: int) -> bool:
        """As `take`, by the descriptor under which the process that started this one held it, and gave it up."""
        os.set_inheritable(descriptor, False)
        return self._hold(descriptor, fcntl.LOCK_EX)

    def _hold(self, descriptor: int, kind: int) -> bool:
        try:
            with naming(self._path):
                fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        except OSError:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        return True

    @property
    def descriptor(self) -> int:
        """Of the open file whose lock this holds; a child that has it holds the lock, too."""
        assert self._descriptor is not None
        return self._descriptor

    def release(self) -> None:
        """Give it up, where this holds it; a child that has its descriptor goes on holding it."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


@contextmanager
def turn(path: Path) -> Iterator[None]:
    """One at a time, of all threads and processes: waits for who is inside by the same file.

    Raises:
        EngineError: that takes too long, as where a process was stopped inside.
    """
    lock, until = Lock(path), time.monotonic() + PATIENCE_SECONDS
    while not lock.take():
        if time.monotonic() > until:
            fix = "see which process of this VQA_HOME has come to a halt, and ask again"
            raise EngineError("is held too long", where=path.name, fix=fix, temporary=True)
        time.sleep(POLL_SECONDS)
    try:
        yield
    finally:
        lock.release()


def given(path: Path, words: Sequence[str]) -> Lock:
    """The lock of a file; held already where whoever started this process gave it the descriptor, its first word."""
    lock = Lock(path)
    if words:
        lock.adopt(int(words[0]))
    return lock


def is_held(path: Path, *, alone: bool = False) -> bool:
    """Whether somebody holds the lock of a file.

    Args:
        alone: who only looks, as this does, is not taken for somebody; otherwise this may be, in its moment.
    """
    if not path.exists():
        return False
    lock = Lock(path)
    taken = lock.take(shared=alone)
    lock.release()
    return not taken
