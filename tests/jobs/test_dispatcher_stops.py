"""A dispatcher that ends takes the jobs on its machine along, where that is wanted."""

from __future__ import annotations

import sqlite3
import threading

import pytest

from tests.jobs.conftest import Submit
from tests.jobs.scripted import Scripted, finish, started
from vqa.jobs.dispatcher import Dispatcher
from vqa.jobs.home import Home
from vqa.jobs.queue import Queue
from vqa.jobs.record import Job, State


def run_once(dispatcher: Dispatcher, monkeypatch: pytest.MonkeyPatch) -> None:
    """Serve until told to stop, which is after one look at the jobs."""
    stop, step = threading.Event(), dispatcher.step
    monkeypatch.setattr(dispatcher, "step", lambda: (step(), stop.set()))
    dispatcher.run(stop)


@pytest.mark.parametrize("stop_jobs", [True, False])
def test_jobs_on_this_machine_save_and_stop_with_it_where_that_is_wanted(
    stop_jobs: bool, home: Home, queue: Queue, engine: Scripted, submission: Submit,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Those of another engine go on, and none that waits is started."""
    dispatcher = Dispatcher(home, lambda _: engine, stop_jobs=stop_jobs)
    here, there = (started(queue, dispatcher, submission(engine=n)) for n in ("local", "slurm"))

    def cancel(handle: str, *, force: bool) -> None:
        engine.cancelled.append((handle, force))
        finish(home, engine, here, "preempted")
        queue.submit(submission())

    monkeypatch.setattr(engine, "cancel", cancel)
    run_once(dispatcher, monkeypatch)
    assert engine.cancelled == ([(here.handle, False)] if stop_jobs else [])
    after = State.PREEMPTED if stop_jobs else State.STARTING
    assert [queue.get(job.id).state for job in (here, there)] == [after, State.STARTING]
    assert len(engine.tasks) == 2


@pytest.mark.parametrize("grace", ["20", "0"])
def test_a_job_that_is_stopped_while_it_starts_is_not_lost(
    grace: str, home: Home, queue: Queue, engine: Scripted, submission: Submit,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """It dies of the request, before it can understand it; without any grace it is asked all the same."""
    settings = home.path / "settings.yaml"
    settings.write_text(
        settings.read_text().replace("grace_seconds: 20", f"grace_seconds: {grace}")
    )
    dispatcher = Dispatcher(Home(home.path), lambda _: engine, stop_jobs=True)
    job = started(queue, dispatcher, submission(max_restarts=0))
    cancel = engine.cancel

    def dies(handle: str, *, force: bool) -> None:
        cancel(handle, force=force)
        finish(home, engine, job, None)

    monkeypatch.setattr(engine, "cancel", dies)
    run_once(dispatcher, monkeypatch)
    assert engine.cancelled == [(job.handle, False)]
    after = queue.get(job.id)
    if grace == "20":
        assert (after.state, after.restarts) == (State.PREEMPTED, 0)


def test_a_fault_while_jobs_are_asked_to_stop_is_no_end_of_asking(
    home: Home, queue: Queue, engine: Scripted, submission: Submit, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    dispatcher = Dispatcher(home, lambda _: engine, stop_jobs=True)
    job = started(queue, dispatcher, submission())
    active, faults = queue.active, [sqlite3.OperationalError("database or disk is full")] * 3

    def sometimes() -> list[Job]:
        if faults and dispatcher._leaving:
            raise faults.pop()
        return active()

    monkeypatch.setattr(dispatcher.queue, "active", sometimes)
    cancel = engine.cancel

    def obeys(handle: str, *, force: bool) -> None:
        cancel(handle, force=force)
        finish(home, engine, job, "preempted")

    monkeypatch.setattr(engine, "cancel", obeys)
    run_once(dispatcher, monkeypatch)
    assert not faults
    assert caplog.messages.count("jobs could not be asked to stop") == 1
    assert queue.get(job.id).state is State.PREEMPTED


def test_it_waits_no_longer_for_jobs_that_are_to_stop_than_they_are_given(
    home: Home, queue: Queue, engine: Scripted, submission: Submit, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = home.path / "settings.yaml"
    settings.write_text(settings.read_text().replace("grace_seconds: 20", "grace_seconds: 0.3"))
    dispatcher = Dispatcher(Home(home.path), lambda _: engine, stop_jobs=True)
    job = started(queue, dispatcher, submission())
    run_once(dispatcher, monkeypatch)
    assert engine.cancelled == [
        (job.handle, False)
    ]  # and not killed: what ends the machine does it
    assert queue.get(job.id).state is State.STARTING
