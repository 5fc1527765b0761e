"""Locks between processes, each of a file; the kernel releases them at any death."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


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
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        except OSError:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        """Give it up, where this holds it."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


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
