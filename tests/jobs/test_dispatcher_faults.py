"""Engines that are away or refuse, broken run directories, full disks: what a dispatcher makes of them."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import threading
import time
from collections.abc import Sequence
from unittest.mock import Mock

import pytest

from tests.jobs.conftest import Submit
from tests.jobs.scripted import Scripted, finish, started
from vqa.errors import EngineError
from vqa.jobs import dispatcher as room
from vqa.jobs import handover
from vqa.jobs.dispatcher import Dispatcher
from vqa.jobs.engines.base import Capacity, Standing, Task
from vqa.jobs.home import Home
from vqa.jobs.queue import Queue
from vqa.jobs.record import Resources, State


def test_an_engine_that_does_not_answer_changes_nothing(
    queue: Queue, dispatcher: Dispatcher, engine: Scripted, submission: Submit
) -> None:
    job = started(queue, dispatcher, submission())
    engine.now[str(job.handle)] = Standing.UNKNOWN
    dispatcher.step()
    assert queue.get(job.id).state is State.STARTING


def test_an_engine_that_cannot_be_asked_holds_up_no_other(
    home: Home, queue: Queue, engine: Scripted, submission: Submit, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent = Scripted()
    dispatcher = Dispatcher(home, lambda name: silent if name == "local" else engine)
    stays, ends = (
        started(queue, dispatcher, submission(engine=name)) for name in ("local", "slurm")
    )

    def refuse(handles: Sequence[str]) -> dict[str, Standing]:
        raise EngineError("does not answer")

    monkeypatch.setattr(silent, "standings", refuse)
    finish(home, silent, stays, "succeeded")
    finish(home, engine, ends, "succeeded")
    dispatcher.step()
    assert queue.get(ends.id).state is State.SUCCEEDED
    assert queue.get(stays.id).state is State.STARTING


def test_what_fails_at_every_look_is_told_once(
    queue: Queue, dispatcher: Dispatcher, engine: Scripted, submission: Submit,
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    started(queue, dispatcher, submission())
    caplog.clear()
    said: list[Exception | None] = [
        EngineError("no token"), EngineError("no token"), EngineError("no answer"), None,
        EngineError("no answer"), OSError("broke"), OSError("broke"),
    ]  # fmt: skip
    looks = iter(said)

    def standings(handles: Sequence[str]) -> dict[str, Standing]:
        error = next(looks, None)
        if error is None:
            return dict.fromkeys(handles, Standing.RUNNING)
        raise error

    monkeypatch.setattr(engine, "standings", standings)
    for _ in said:
        once = Mock(is_set=Mock(side_effect=[False, True]))
        dispatcher._serve(once, until_idle=False)
    assert caplog.messages == [
        "local: no token", "local: no answer", "local: no answer", "the dispatcher goes on after an error",
    ]  # fmt: skip


def test_what_other_settings_do_not_mend_is_told_again(
    home: Home, queue: Queue, dispatcher: Dispatcher, engine: Scripted, submission: Submit,
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    started(queue, dispatcher, submission())
    caplog.clear()
    monkeypatch.setattr(engine, "standings", Mock(side_effect=EngineError("no token")))
    settings = home.path / "settings.yaml"
    for changed in (1, 2):
        dispatcher.step()
        dispatcher.step()
        os.utime(settings, (changed, changed))
    assert caplog.messages == ["local: no token"] * 2


def test_an_engine_that_is_away_is_asked_again_later(
    queue: Queue, dispatcher: Dispatcher, engine: Scripted, submission: Submit,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    engine.fault = EngineError("slurm does not answer", temporary=True)
    job = started(queue, dispatcher, submission())
    assert (job.state, job.reason) == (State.STARTING, "slurm does not answer")
    engine.fault = None
    dispatcher.step()
    assert engine.tasks == {}
    monkeypatch.setattr(handover, "RETRY_SECONDS", 0.0)
    later = time.monotonic() + 11
    monkeypatch.setattr("vqa.jobs.patience.time.monotonic", lambda: later)
    dispatcher.step()
    assert list(engine.tasks) == [f"vqa-{job.id}-1"]


def test_an_engine_that_refuses_makes_the_job_fail_with_its_words(
    queue: Queue, dispatcher: Dispatcher, engine: Scripted, submission: Submit
) -> None:
    engine.fault = EngineError("invalid partition", fix="change slurm.partition")
    job = started(queue, dispatcher, submission())
    assert job.state is State.FAILED
    assert "invalid partition" in job.reason


def test_nothing_is_started_on_a_full_disk(
    home: Home, queue: Queue, engine: Scripted, submission: Submit
) -> None:
    (home.path / "settings.yaml").write_text(f"quotas: {{min_free_mb: {1 << 40}}}")
    dispatcher = Dispatcher(Home(home.path), lambda _: engine)
    job = started(queue, dispatcher, submission())
    assert job.state is State.QUEUED


def test_a_job_whose_run_directory_is_gone_is_stopped_and_holds_up_no_other(
    home: Home, queue: Queue, dispatcher: Dispatcher, engine: Scripted, submission: Submit
) -> None:
    broken = started(queue, dispatcher, submission())
    shutil.rmtree(home.run_dir(broken.id))
    queue.request_cancel(broken.id)
    other = started(queue, dispatcher, submission())
    assert engine.cancelled == [(str(broken.handle), False)]
    assert other.state is State.STARTING


@pytest.mark.parametrize("fault", [TimeoutError("do not die"), EngineError("silent")])
def test_a_job_that_cannot_be_killed_holds_up_no_other(
    home: Home, queue: Queue, dispatcher: Dispatcher, engine: Scripted, submission: Submit,
    monkeypatch: pytest.MonkeyPatch, fault: Exception,
) -> None:  # fmt: skip
    stuck, healthy = (started(queue, dispatcher, submission()) for _ in range(2))

    def refuse(handle: str, *, force: bool) -> None:
        raise fault

    monkeypatch.setattr(engine, "cancel", refuse)
    queue.request_cancel(stuck.id)
    finish(home, engine, healthy, "succeeded")
    dispatcher.step()
    assert queue.get(stuck.id).reason == str(fault)
    assert queue.get(healthy.id).state is State.SUCCEEDED


def test_checkpoints_that_cannot_be_thinned_take_no_success_away(
    home: Home, queue: Queue, dispatcher: Dispatcher, engine: Scripted, submission: Submit,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    job = started(queue, dispatcher, submission())

    def refuse(*_: object) -> None:
        raise PermissionError("not yours")

    monkeypatch.setattr(room, "retain", refuse)
    finish(home, engine, job, "succeeded")
    dispatcher.step()
    assert queue.get(job.id).state is State.SUCCEEDED


def test_it_ends_when_nothing_is_left_and_survives_its_own_errors(
    home: Home, queue: Queue, engine: Scripted, submission: Submit, monkeypatch: pytest.MonkeyPatch
) -> None:
    dispatcher = Dispatcher(home, lambda _: engine)
    job = queue.submit(submission())[0]
    thread = threading.Thread(
        target=dispatcher.run, args=(threading.Event(),), kwargs={"until_idle": True}
    )
    real, calls = Dispatcher.step, []

    def step(self: Dispatcher) -> None:
        calls.append(1)
        if len(calls) == 1:
            raise RuntimeError("something unforeseen")
        real(self)

    monkeypatch.setattr(Dispatcher, "step", step)
    thread.start()
    deadline = time.monotonic() + 30
    while not engine.tasks and time.monotonic() < deadline:
        time.sleep(0.02)
    finish(home, engine, queue.get(job.id), "succeeded")
    thread.join(30)
    assert not thread.is_alive()
    assert queue.get(job.id).state is State.SUCCEEDED


def test_a_queue_that_cannot_be_asked_once_ends_no_dispatcher(
    dispatcher: Dispatcher, engine: Scripted, queue: Queue, submission: Submit,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Whatever was queued behind would wait until somebody looks at the queue."""
    queue.submit(submission())
    busy = sqlite3.OperationalError("disk I/O error")
    monkeypatch.setattr(dispatcher, "_has_work", Mock(side_effect=[busy, True, False]))
    dispatcher._serve(Mock(is_set=Mock(return_value=False)), until_idle=True)
    assert engine.tasks


@pytest.mark.parametrize("until_idle", [True, False])
def test_it_ends_where_its_home_is_gone(
    home: Home, queue: Queue, engine: Scripted, submission: Submit, until_idle: bool
) -> None:
    engine.room = Capacity((), 0, 0)  # the job waits for ever
    queue.submit(submission())
    stop, dispatcher = threading.Event(), Dispatcher(home, lambda _: engine)
    thread = threading.Thread(
        target=dispatcher.run, args=(stop,), kwargs={"until_idle": until_idle}
    )
    thread.start()
    time.sleep(3 * home.settings.poll_seconds)
    assert thread.is_alive()
    shutil.rmtree(home.path)
    thread.join(30)
    ended = not thread.is_alive()
    stop.set()
    assert ended


def test_a_job_whose_engine_does_not_answer_can_be_cancelled(
    home: Home, queue: Queue, dispatcher: Dispatcher, engine: Scripted, submission: Submit
) -> None:
    engine.fault = EngineError("slurm does not answer", temporary=True)
    job = started(queue, dispatcher, submission())
    queue.request_cancel(job.id)
    dispatcher.step()
    assert queue.get(job.id).state is State.CANCELLED
    result = json.loads((home.run_dir(job.id) / "result.json").read_text())
    assert (result["status"], result["attempt"]) == ("cancelled", 1)  # a stray runner ends by it


def test_an_engine_that_cannot_be_had_fails_its_jobs_and_no_others(
    home: Home, queue: Queue, engine: Scripted, submission: Submit
) -> None:
    def make(name: str) -> Scripted:
        if name == "ray":
            raise EngineError("ray is not installed")
        return engine

    dispatcher = Dispatcher(home, make)
    bad, good = queue.submit(submission(engine="ray"))[0], queue.submit(submission())[0]
    dispatcher.step()
    assert (queue.get(bad.id).state, queue.get(bad.id).reason) == (
        State.FAILED,
        "ray is not installed",
    )
    assert queue.get(good.id).state is State.STARTING


def test_an_engine_that_is_away_is_asked_once_a_while_whatever_waits_for_it(
    queue: Queue, dispatcher: Dispatcher, engine: Scripted, submission: Submit,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Each call may take as long as its patience: other engines' jobs want to be looked after meanwhile."""
    calls: list[str] = []

    def submit(task: Task) -> str:
        calls.append(task.name)
        raise EngineError("ray does not answer", temporary=True)

    monkeypatch.setattr(engine, "submit", submit)
    jobs = [queue.submit(submission(name=f"n{number}"))[0] for number in range(5)]
    for _ in range(3):
        dispatcher.step()
    assert calls == [f"vqa-{jobs[0].id}-1"]
    assert queue.get(jobs[0].id).reason == "ray does not answer"
    assert queue.get(jobs[1].id).state is State.QUEUED
    assert queue.get(jobs[1].id).reason == "waits for its engine: ray does not answer"
    assert {queue.get(job.id).reason for job in jobs[2:]} == {"waits for jobs before it"}
    later = time.monotonic() + 11
    monkeypatch.setattr("vqa.jobs.patience.time.monotonic", lambda: later)
    dispatcher.step()
    assert len(calls) == 2


def test_a_job_that_this_machine_can_never_run_keeps_no_other_waiting(
    home: Home, queue: Queue, engine: Scripted, submission: Submit
) -> None:
    """It was submitted when the machine, or what of it the settings give, was larger; and may be so again."""
    dispatcher, engine.room = Dispatcher(home, lambda _: engine), Capacity((), 4, 1000)
    large = queue.submit(submission(resources=Resources(cores=8)))[0]
    small = started(queue, dispatcher, submission(resources=Resources(cores=3)))
    behind = started(queue, dispatcher, submission(resources=Resources(cores=3)))
    assert small.state is State.STARTING
    assert queue.get(large.id).state is State.QUEUED
    assert queue.get(large.id).reason == "asks for 8 cores, and this machine has 4"
    assert behind.reason == "waits for 3 cores (1 of 4 free)"
    finish(home, engine, small, "succeeded")
    engine.room = Capacity((), 8, 1000)
    dispatcher.step()
    assert [queue.get(job.id).state.value for job in (large, behind)] == ["starting", "queued"]


def test_not_even_many_such_jobs_keep_another_waiting(
    home: Home, queue: Queue, engine: Scripted, submission: Submit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And how large the machine is is asked once a look: where there are GPUs that is no small question."""
    monkeypatch.setattr(room, "LOOKED_AT", 3)
    dispatcher, engine.room = Dispatcher(home, lambda _: engine), Capacity((), 4, 1000)
    asked = Mock(wraps=engine.capacity)
    monkeypatch.setattr(engine, "capacity", asked)
    large = [queue.submit(submission(resources=Resources(cores=8)))[0] for _ in range(7)]
    small = [queue.submit(submission(resources=Resources(cores=1)))[0] for _ in range(2)]
    for _ in range(3):
        dispatcher.step()
    assert {queue.get(job.id).state for job in small} == {State.STARTING}
    assert {queue.get(job.id).reason for job in large} == {
        "asks for 8 cores, and this machine has 4"
    }
    assert asked.call_count == 3


def test_a_cancelled_job_whose_result_cannot_be_written_holds_up_no_other(
    home: Home, queue: Queue, dispatcher: Dispatcher, engine: Scripted, submission: Submit
) -> None:
    """One that ran, and one that was not given to its engine yet."""
    ran, claimed = started(queue, dispatcher, submission()), queue.submit(submission())[0]
    assert queue.claim(claimed) is not None
    for job in (ran, claimed):
        home.run_dir(job.id).mkdir(exist_ok=True)
        (home.run_dir(job.id) / "result.json").mkdir()
        queue.request_cancel(job.id)
    (home.run_dir(claimed.id) / "cancel").symlink_to(home.path / "none" / "there")
    engine.now[str(ran.handle)] = Standing.ENDED
    other = started(queue, dispatcher, submission())
    for job in (ran, claimed):
        found = queue.get(job.id)
        assert found.state is State.CANCELLED
        assert found.reason == "its result.json cannot be written (Is a directory)"
    assert other.state is State.STARTING


def set_anew(home: Home, text: str, age: float) -> None:
    """Write settings that were changed so many seconds ago."""
    file = home.path / "settings.yaml"
    file.write_text(f"{text}\nquotas: {{min_free_mb: 0}}\n")
    os.utime(file, (time.time() - age,) * 2)


def test_changed_settings_are_taken(home: Home, queue: Queue, submission: Submit) -> None:
    set_anew(home, "local: {cores: 1}", age=60)
    dispatcher = Dispatcher(Home(home.path))
    job = started(queue, dispatcher, submission(resources=Resources(cores=4)))
    assert job.reason == "asks for 4 cores, and this machine has 1"
    set_anew(home, "local: {cores: 3}", age=50)
    dispatcher.step()
    assert queue.get(job.id).reason == "asks for 4 cores, and this machine has 3"


def test_changed_times_hold_for_jobs_that_run(
    home: Home, queue: Queue, engine: Scripted, submission: Submit, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_anew(home, "grace_seconds: 1000\nlease_seconds: 1000", age=60)
    dispatcher = Dispatcher(Home(home.path), lambda _: engine)
    silent, unwanted = (started(queue, dispatcher, submission()) for _ in range(2))
    dispatcher.step()
    set_anew(home, "grace_seconds: 10\nlease_seconds: 100", age=50)
    queue.request_cancel(unwanted.id)
    dispatcher.step()
    assert engine.cancelled == [(unwanted.handle, False)]
    later = time.monotonic() + 200
    monkeypatch.setattr("vqa.jobs.patience.time.monotonic", lambda: later)
    dispatcher.step()
    assert engine.cancelled[1:] == [(silent.handle, True), (unwanted.handle, True)]
