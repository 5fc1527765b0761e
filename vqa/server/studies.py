"""Studies of groups for pages and the API: answered at once, made behind, one at a time."""

from __future__ import annotations

import hashlib
import json
import logging
import subprocess
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import vqa
from vqa.ablation.shelf import Ask, Rendered
from vqa.ablation.study import Options
from vqa.ablation.worker import message, shelf
from vqa.errors import JobError, VQAError
from vqa.evaluation.kept import stamp
from vqa.jobs.home import Home
from vqa.jobs.queue import Queue
from vqa.jobs.record import TERMINAL, State

MOST_WAITING = 32
RETRY_SECONDS = 60.0
LONGEST_ERROR = 500
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class StudyState:
    """What there is of a study.

    Attributes:
        status: `ready`, `computing` or `failed`.
        study: of the present runs where it is ready; else of earlier ones (stale), or None.
        since: Unix time since when it is being computed, or waits to be.
        error: why it failed; for people.
    """

    status: Literal["ready", "computing", "failed"]
    study: Rendered | None = None
    since: float | None = None
    error: str = ""

    @property
    def stale(self) -> bool:
        """Whether the study is of earlier runs than there are now."""
        return self.study is not None and self.status != "ready"


Work = Callable[[Ask], None]


class Studies:
    """Studies of the groups of a home; one object serves any number of threads.

    Each is made once for a set of results, by a process that ends with this one, and kept under `VQA_HOME/cache`.

    Args:
        work: makes a study and puts it on the shelf; a process of its own by default.
    """

    def __init__(self, home: Home, work: Work | None = None) -> None:
        self._home, self._shelf, self._queue = home, shelf(home), Queue(home.make().queue_file)
        self._work = work or self._in_process
        self._changed = threading.Condition()
        self._waiting: OrderedDict[str, tuple[Ask, float]] = OrderedDict()
        self._current: tuple[Ask, float] | None = None
        self._failed: dict[str, tuple[Ask, str, float]] = {}
        self._process: subprocess.Popen[str] | None = None
        self._thread: threading.Thread | None = None
        self._closed = False

    def get(self, group: str, options: Options | None = None) -> StudyState:
        """What there is now; where that is not of the present results, the making of it has begun.

        Raises:
            JobError: there is no such group.
        """
        ask = Ask(group, options or Options(), self._runs(group))
        with self._changed:
            found = self._shelf.find(ask)
            if isinstance(found, Rendered):
                return StudyState("ready", found)
            older = self._shelf.older(ask)
            error = found or self._failure(ask)
            if error:
                return StudyState("failed", older, error=error)
            return StudyState("computing", older, since=self._begin(ask))

    def close(self) -> None:
        """End what is being made; nothing is made any more."""
        with self._changed:
            self._closed = True
            self._waiting.clear()
            if self._process is not None:
                self._process.kill()
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()

    def _runs(self, group: str) -> str:
        """The fingerprint of what a study of the group would be made of."""
        members = self._queue.members(group)
        if not members:
            raise JobError(f"no group {group[:100]!r}", kind="not-found")
        found = [
            (
                job,
                str(state) if state in TERMINAL else "",
                stamp(self._home.run_dir(job), state == State.SUCCEEDED),
            )
            for job, state in members
        ]
        return hashlib.sha256(json.dumps([vqa.__version__, found]).encode()).hexdigest()[:32]

    def _failure(self, ask: Ask) -> str:
        """Why this very study could not be made a moment ago."""
        failed, error, when = self._failed.get(ask.about, (None, "", 0.0))
        return error if failed == ask and time.monotonic() - when < RETRY_SECONDS else ""

    def _begin(self, ask: Ask) -> float:
        """Have it made, unless that is on its way; since when that is so."""
        if self._current is not None and self._current[0] == ask:
            return self._current[1]
        _, since = self._waiting.get(ask.about, (ask, time.time()))
        self._waiting[ask.about] = (ask, since)  # of the newest runs alone
        while len(self._waiting) > MOST_WAITING:
            self._waiting.popitem(last=False)
        if self._thread is None and not self._closed:
            self._thread = threading.Thread(target=self._serve, name="studies", daemon=True)
            self._thread.start()
        self._changed.notify_all()
        return since

    def _serve(self) -> None:
        while (ask := self._next()) is not None:
            try:
                error = ""
                self._work(ask)
            except (VQAError, OSError) as failure:
                error = str(failure)
            except Exception as failure:  # the next ones are made all the same
                log.exception("the study of %s", ask.group)
                error = f"the comparison failed: {failure!r}"
            with self._changed:
                self._current = None
                self._remember(ask, error)

    def _remember(self, ask: Ask, error: str) -> None:
        """So that it is not tried again at every look."""
        self._failed.pop(ask.about, None)
        if error:
            self._failed[ask.about] = (ask, error, time.monotonic())
        while len(self._failed) > MOST_WAITING:
            self._failed.pop(next(iter(self._failed)))

    def _next(self) -> Ask | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            if self._closed:
                return None
            _, self._current = self._waiting.popitem(last=False)
            return self._current[0]

    def _in_process(self, ask: Ask) -> None:
        """Have another process make it.

        Raises:
            VQAError: the process failed.
        """
        command, pipe = [sys.executable, "-m", "vqa.ablation.worker"], subprocess.PIPE
        with self._changed:
            if self._closed:
                return
            process = self._process = subprocess.Popen(
                command, stdin=pipe, stdout=subprocess.DEVNULL, stderr=pipe, text=True
            )
        _, said = process.communicate(message(self._home, ask))
        with self._changed:
            self._process = None
        if process.returncode:
            last = (said.strip().splitlines() or [f"it ended with {process.returncode}"])[-1]
            raise VQAError(f"the comparison failed: {last[:LONGEST_ERROR]}")
