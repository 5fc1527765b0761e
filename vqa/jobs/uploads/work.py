"""Has stores made in processes of their own, one at a time."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

from vqa.jobs.home import Home
from vqa.jobs.uploads.staging import Staging

COMMAND = (sys.executable, "-m", "vqa.jobs.uploads.making")
FAILED = "the making of the store ended early; the server's log says why"
log = logging.getLogger(__name__)
Told = dict[str, Any]
Tell = Callable[[Told], None]
Work = Callable[[Staging, Tell], Told]


class Worker:
    """Makes stores behind.

    Args:
        work: makes one and says how far it is; gives what became of it. A process of its own where None.
    """

    def __init__(self, home: Home, work: Work | None = None) -> None:
        self._home, self._work = home, work or self._in_process
        self._one_at_a_time, self._lock = threading.Lock(), threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._closed = False

    def start(self, staging: Staging, tell: Tell) -> None:
        """Begin; `tell` hears of it, at last of its outcome."""
        thread = threading.Thread(target=self._run, args=(staging, tell), daemon=True)
        thread.name = "making"
        thread.start()

    def close(self) -> None:
        """End what is being made; nothing is made any more."""
        with self._lock:
            self._closed = True
            if self._process is not None:
                self._process.kill()

    def _run(self, staging: Staging, tell: Tell) -> None:
        with self._one_at_a_time:
            try:
                outcome = self._work(staging, tell)
            except Exception:
                log.exception("no store could be made of %s", staging.folder)
                outcome = {"state": "failed", "error": FAILED}
            tell(outcome)

    def _in_process(self, staging: Staging, tell: Tell) -> Told:
        outcome: Told = {"state": "failed", "error": FAILED}
        pipe = subprocess.PIPE
        with self._lock:
            if self._closed:
                return outcome
            process = subprocess.Popen(COMMAND, stdin=pipe, stdout=pipe, text=True)
            self._process = process
        with process:
            assert process.stdin
            assert process.stdout
            process.stdin.write(_message(self._home, staging))
            process.stdin.close()
            for line in process.stdout:
                told = json.loads(line)
                if "state" in told:
                    outcome = told
                else:
                    tell(told)
        with self._lock:
            self._process = None
        return outcome


def _message(home: Home, staging: Staging) -> str:
    """What the process that makes the store is told."""
    told = {"home": str(home.path), "folder": str(staging.folder), "parent": os.getpid()}
    return json.dumps(told)
