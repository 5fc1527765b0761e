"""A dispatcher where there is work and none runs: what makes the queue on a laptop need no set-up."""

from __future__ import annotations

import os
import signal
import sys

from vqa.jobs.home import Home
from vqa.jobs.locks import Lock

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE)


def ensure_dispatcher(home: Home) -> bool:
    """Start a dispatcher where none runs, in a session of its own; says whether it did.

    It is given the lock at its birth, so that of many calls, at once or before it has loaded, one alone starts one. A
    dispatcher that is about to end looks at the queue once more after it has let go of the lock, so that a job that
    was committed before this call is always seen.
    """
    lock = Lock(home.dispatcher_lock)
    if not lock.take():
        return False
    try:
        _start(home, lock.descriptor)
    finally:
        lock.release()
    return True


def _start(home: Home, lock: int) -> None:
    """A dispatcher that holds the lock of this descriptor."""
    # Another number, under which it stays open, and none that is taken below.
    given = max(lock, 2) + 1
    log, append = str(home.dispatcher_log), os.O_WRONLY | os.O_CREAT | os.O_APPEND
    os.posix_spawn(
        sys.executable,
        [sys.executable, "-m", "vqa.jobs.dispatcher", str(given)],
        _environment(home),
        file_actions=[
            (os.POSIX_SPAWN_DUP2, lock, given),
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, log, append, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
        setsigmask=(),
        setsigdef=SIGNALS,
    )


def _environment(home: Home) -> dict[str, str]:
    """This process's, for this home; a file where somebody submits must not pass for a module."""
    return {**os.environ, "VQA_HOME": str(home.path), "PYTHONSAFEPATH": "1"}
