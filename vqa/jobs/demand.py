"""A dispatcher where there is work and none runs: what makes the queue on a laptop need no set-up."""

from __future__ import annotations

import os
import signal
import sys

from vqa.jobs.home import Home
from vqa.jobs.locks import is_held

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE)


def ensure_dispatcher(home: Home) -> bool:
    """Start a dispatcher where none runs, in a session of its own; says whether it did.

    Several callers at once may each start one: all but the first find the lock taken and end. A dispatcher that
    is about to end looks at the queue once more after it has let go of the lock, so that a job that was committed
    before this call is always seen.
    """
    if is_held(home.dispatcher_lock):  # somebody's that begins in this very moment gives up
        return False
    log, append = str(home.dispatcher_log), os.O_WRONLY | os.O_CREAT | os.O_APPEND
    os.posix_spawn(
        sys.executable,
        [sys.executable, "-m", "vqa.jobs.dispatcher"],
        _environment(home),
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, log, append, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
        setsigmask=(),
        setsigdef=SIGNALS,
    )
    return True


def _environment(home: Home) -> dict[str, str]:
    """This process's, for this home; a file where somebody submits must not pass for a module."""
    return {**os.environ, "VQA_HOME": str(home.path), "PYTHONSAFEPATH": "1"}
