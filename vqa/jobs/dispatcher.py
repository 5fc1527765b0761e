"""Hands queued jobs to engines and follows them to their end: `python -m vqa.jobs.dispatcher`, or inside `vqa serve`.

All it knows is in the queue and in the run directories, so it can die at any moment: the next one goes on, and the
jobs that run notice nothing.
"""

from __future__ import annotations

import logging
import shutil
import signal
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import groupby

from vqa.errors import EngineError, VQAError
from vqa.jobs.engines.base import Engine, Standing
from vqa.jobs.engines.known import Engines, make_engine
from vqa.jobs.handover import ARRAYS, Handover, batches
from vqa.jobs.home import Home
from vqa.jobs.locks import Lock, given, is_held
from vqa.jobs.outcome import mark_cancelled, reached, result_of, why_lost
from vqa.jobs.patience import Complaints, Due, Leases, Stops, last_beat
from vqa.jobs.placement import may_fit, place, why_not_now
from vqa.jobs.prune import retain
from vqa.jobs.queue import Queue
from vqa.jobs.record import ACTIVE, WAITING, Job, Loss, State

log = logging.getLogger(__name__)

LOOKED_AT, MOST_MISFITS = 100, 2000
"""Waiting jobs of an engine, and how many more at the most: as many as this machine can never run."""
BEHIND = "waits for jobs before it"
"""The same whichever those are: each change is written to the disk."""
STEP, LEAVING = "step", "leaving"
"""What is complained about where it is no engine."""


class Dispatcher:
    """The one dispatcher of a `VQA_HOME`.

    Args:
        home: whose queue is served.
        engine: makes an engine by name; the real ones by default.
        stop_jobs: jobs on this machine are to end with this process, saved.
        lock: of the home's dispatcher, where this process was started with it.
    """

    def __init__(
        self,
        home: Home,
        engine: Callable[[str], Engine] | None = None,
        *,
        stop_jobs: bool = False,
        lock: Lock | None = None,
    ) -> None:
        self.home, self.queue, self.settings = home, Queue(home.queue_file), home.settings
        self._make = engine or (lambda name: make_engine(name, self.settings))
        self._engines = Engines(self._make)
        self._leases, self._stops = Leases(), Stops()
        self._handover, self._complaints = Handover(home, self.queue), Complaints()
        self._mine, self._ahead = lock or Lock(home.dispatcher_lock), Lock(home.server_lock)
        self._stop_jobs, self._leaving, self._told, self._misfits = stop_jobs, False, False, 0

    def run(self, stop: threading.Event, *, until_idle: bool = False) -> None:
        """Serve the queue until told to stop; `until_idle`, until nothing is left to do or a server has come to do it.

        Waits while another dispatcher serves it. A job that was committed before this returns has been seen. Where the
        home is gone there is nothing to serve.
        """
        try:
            while not stop.is_set() and self.home.path.is_dir():
                if until_idle and self._is_relieved():
                    return
                if not until_idle and not self._ahead.take():
                    self._tell_of_another()
                if self._mine.take():
                    self._serve(stop, until_idle)
                    self._leave()
                    self._mine.release()
                elif until_idle:
                    return
                if until_idle and not self._has_work():  # asked again once others can take the lock
                    return
                stop.wait(self.settings.poll_seconds)
        finally:
            self._mine.release()
            self._ahead.release()

    def _is_relieved(self) -> bool:
        """Whether a server is there."""
        return is_held(self.home.server_lock, alone=True)

    def _tell_of_another(self) -> None:
        if self._stop_jobs and not self._told:
            log.warning("another server serves %s: jobs do not stop with this one", self.home.path)
            self._told = True

    def _serve(self, stop: threading.Event, until_idle: bool) -> None:
        while not stop.is_set() and self.home.path.is_dir():
            try:
                self.step()
                self._complaints.over(STEP)
                idle = until_idle and not self._has_work()
            except Exception as error:  # whatever it is, the jobs that are left still need somebody
                if self._complaints.is_new(STEP, repr(error)):
                    log.exception("the dispatcher goes on after an error")
                idle = False
                stop.wait(1.0)
            if idle or (until_idle and self._is_relieved()):
                return
            stop.wait(self.settings.poll_seconds)

    def _leave(self) -> None:
        """Ask the jobs on this machine to save and stop, and wait for that as long as their grace lasts."""
        self._leaving, end = self._stop_jobs, time.monotonic() + self.settings.grace_seconds
        while self._leaving and self._ask_to_leave() and time.monotonic() < end:
            time.sleep(self.settings.poll_seconds)

    def _ask_to_leave(self) -> bool:
        """Whether there are jobs on this machine still."""
        try:
            here = [job for job in self.queue.active() if job.submission.engine == "local"]
            self._follow(self._engines["local"], [job for job in here if job.handle is not None])
        except Exception as error:  # a full disk, say: the others are to be asked all the same
            if self._complaints.is_new(LEAVING, repr(error)):
                log.exception("jobs could not be asked to stop")
            return True
        return bool(here)

    def step(self) -> None:
        """Look at every active job once, then start what fits."""
        if self.home.settings is not self.settings:  # the file has changed
            self.settings, self._engines = self.home.settings, Engines(self._make)
            self._complaints = Complaints()  # who changed it wants to know whether that has helped
        active = sorted(self.queue.active(), key=lambda job: job.submission.engine)
        for name, jobs in groupby(active, key=lambda job: job.submission.engine):
            try:
                self._follow(self._engines[name], list(jobs))
                self._complaints.over(name)
            except EngineError as error:  # the other engines' jobs still need somebody
                if self._complaints.is_new(name, str(error)):
                    log.warning("%s: %s", name, error)
        self._start_waiting()

    def _has_work(self) -> bool:
        return bool(self.queue.count().keys() & (ACTIVE | WAITING))

    # Following

    def _follow(self, engine: Engine, jobs: list[Job]) -> None:
        for together in batches(job for job in jobs if job.handle is None):
            # A dispatcher died here, or an engine did not answer.
            self._handover.give(engine, together)
        handles = {job.handle: job for job in jobs if job.handle is not None}
        standings = engine.standings(list(handles))
        for handle, job in handles.items():
            try:
                self._judge(engine, job, standings.get(handle, Standing.UNKNOWN))
            except (VQAError, OSError) as error:  # the other jobs still need somebody
                self._handover.complain(job, error)

    def _judge(self, engine: Engine, job: Job, standing: Standing) -> None:
        """Move one job by what its engine says of it."""
        if standing is Standing.ENDED:
            self._conclude(job)
        elif job.cancel_requested:
            self._stop(engine, job, "cancelled")
        elif self._leaving:
            self._stop(engine, job, "the service stops")
        elif standing is Standing.PENDING and job.state is State.RUNNING:
            self.queue.move(job, State.STARTING, "waits in its engine's queue again")
        elif standing is Standing.RUNNING:
            self._check_beat(engine, job)

    def _check_beat(self, engine: Engine, job: Job) -> None:
        beat, lease = last_beat(self.home.run_dir(job.id), job), self.settings.lease_seconds
        if self._leases.expired(job, beat, lease):
            self._stop(engine, job, f"no sign of life for {lease:g} s", at_once=True)
        elif beat and job.state is State.STARTING:
            self.queue.move(job, State.RUNNING)

    def _stop(self, engine: Engine, job: Job, reason: str, *, at_once: bool = False) -> None:
        """Ask once, and kill when the grace is over."""
        due = self._stops.due(job, self.settings.grace_seconds, at_once=at_once)
        if due is Due.WAIT:
            return
        if job.cancel_requested:
            try:
                self.home.cancel_marker(job.id).touch()
            except OSError as error:  # a full disk, or no run directory: it must end all the same
                self._handover.complain(job, error)
        if due is Due.KILL:
            log.info("job %s is killed: %s", job.id, reason)
        try:
            engine.cancel(str(job.handle), force=due is Due.KILL)
        except EngineError as error:
            self._handover.complain(job, error)

    def _conclude(self, job: Job) -> None:
        """Nothing of the job runs any more: its run directory says how it ended."""
        run_dir = self.home.run_dir(job.id)
        result = result_of(run_dir, job)
        status = None if result is None else State(result["status"])
        if job.cancel_requested and status in (None, State.PREEMPTED):
            self.queue.move(job, State.CANCELLED, mark_cancelled(run_dir, job))
        elif status is None and self._leaving:  # asked before it could understand
            self.queue.move(job, State.PREEMPTED, "the service stopped")
        elif result is None or status is None:
            self._lose(job, why_lost(run_dir, job.attempt))
        else:
            if status is State.SUCCEEDED:
                self._retain(job)
            self.queue.move(job, status, str(result.get("error") or ""))
        self._leases.forget(job)
        self._stops.forget(job)
        log.info("job %s, attempt %d: %s", job.id, job.attempt, self.queue.get(job.id).state)

    def _retain(self, job: Job) -> None:
        """Thin the checkpoints; where that fails the job has succeeded all the same."""
        try:
            retain(self.home.run_dir(job.id), self.settings.keep_checkpoints)
        except OSError as error:
            log.warning("job %s: its checkpoints cannot be removed: %s", job.id, error)

    def _lose(self, job: Job, reason: str) -> None:
        """Queued again; not for ever where it comes no further."""
        step = reached(self.home.run_dir(job.id))
        in_a_row = 0 if step > job.reached else job.restarts
        if in_a_row >= job.submission.max_restarts:
            self.queue.move(job, State.LOST, f"{reason}; started {job.attempt} times")
        else:
            loss = Loss(in_a_row + 1, step)
            self.queue.move(job, State.QUEUED, f"lost: {reason}", loss=loss)

    # Starting

    def _start_waiting(self) -> None:
        """In order of priority; where the first of an engine's jobs does not fit now, those behind it wait too."""
        full: set[str] = set()
        said: list[tuple[Job, str]] = []
        waiting = self.queue.waiting(LOOKED_AT + min(self._misfits, MOST_MISFITS), ARRAYS)
        self._misfits = 0
        self._engines.look_again()
        for jobs in batches(waiting):
            wanted = jobs[0].submission
            why = BEHIND if wanted.engine in full else self._try_start(jobs)
            if why is None:
                continue
            if may_fit(self._engines.capacity(wanted.engine), wanted.resources):
                full.add(wanted.engine)
            else:  # others need not wait for a job that waits for a larger machine
                self._misfits += 1
            said += [(job, why) for job in jobs if job.reason != why]
        with suppress(sqlite3.OperationalError):  # the disk may be full
            if said:
                self.queue.note(said)
            for engine in full:
                self.queue.note_silent(engine, BEHIND)

    def _try_start(self, jobs: Sequence[Job]) -> str | None:
        """Start a batch, or say what it waits for; one whose engine cannot be had here has failed."""
        try:
            engine = self._engines[jobs[0].submission.engine]
        except EngineError as error:
            for job in jobs:
                claimed = self.queue.claim(job)
                if claimed is not None:
                    self.queue.move(claimed, State.FAILED, str(error))
            return None
        return self._start(engine, jobs)

    def _start(self, engine: Engine, jobs: Sequence[Job]) -> str | None:
        """Start a batch, of one job where the engine has a capacity; or say for what it waits."""
        away = self._handover.away(jobs[0].submission.engine)
        if away is not None:
            return f"waits for its engine: {away.what}"
        if self._disk_is_full():
            needed = self.settings.quotas.min_free_mb
            return f"waits for room on the disk: less than {needed} MiB are free"
        wanted = jobs[0].submission
        capacity = self._engines.capacity(wanted.engine)
        gpus: tuple[str, ...] = ()
        if capacity is not None:
            active = [a for a in self.queue.active() if a.submission.engine == wanted.engine]
            placed = place(capacity, active, wanted.resources)
            if placed is None:
                return why_not_now(capacity, active, wanted.resources)
            gpus = placed
        claimed = [self.queue.claim(job, gpus) for job in jobs]
        self._handover.give(engine, [job for job in claimed if job is not None])
        return None

    def _disk_is_full(self) -> bool:
        free = shutil.disk_usage(self.home.path).free >> 20
        return free < self.settings.quotas.min_free_mb


def main() -> int:
    """Serve the queue of `VQA_HOME` until it is empty."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    log.setLevel(logging.INFO)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        home = Home.here().make()
        Dispatcher(home, lock=given(home.dispatcher_lock, sys.argv[1:])).run(stop, until_idle=True)
    except (VQAError, OSError, sqlite3.Error) as error:
        print(f"vqa: {error}", file=sys.stderr)
        return error.exit_code if isinstance(error, VQAError) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
