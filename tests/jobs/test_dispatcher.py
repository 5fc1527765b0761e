"""The dispatcher's decisions, against an engine that does as the test says. Real engines: tests/jobs/engines."""

from __future__ import annotations

import json
import threading
import time

import pytest

from tests.jobs.conftest import Submit
from tests.jobs.scripted import Scripted, beat, finish, started, states
from vqa.jobs.dispatcher import Dispatcher
from vqa.jobs.engines.base import Capacity, Standing, Task
from vqa.jobs.home import Home
from vqa.jobs.progress import events_of
from vqa.jobs.queue import Queue
from vqa.jobs.record import Job, Resources, State


def test_a_job_goes_its_way(
    home: Home, queue: Queue, dispatcher: Dispatcher, engine: Scripted, submission: Submit
) -> None:
    job = started(queue, dispatcher, submission(resources=Resources(cores=2)))
    assert (job.state, job.attempt, job.handle) == (State.STARTING, 1, f"vqa-{job.id}-1")
    task = engine.tasks[f"vqa-{job.id}-1"]
    assert task.run_dir == home.runs / job.id
    assert (task.run_dir / "experiment.yaml").exists()
    dispatcher.step()
    assert queue.get(job.id).state is State.STARTING  # no sign of life yet
    beat(home, job, 1)
    dispatcher.step()
    assert queue.get(job.id).state is State.RUNNING
    finish(home, engine, job, "succeeded")
    dispatcher.step()
    assert states(queue, job) == ["queued", "starting", "running", "succeeded"]


@pytest.mark.parametrize("died_after", ["claim", "submit"])
def test_a_dispatcher_that_died_while_starting_is_made_good(
    died_after: str, home: Home, queue: Queue, engine: Scripted, submission: Submit
) -> None:
    job = queue.claim(queue.submit(submission())[0])
    assert job is not None
    if died_after == "submit":
        engine.submit(Task(job.id, 1, home.run_dir(job.id), Resources()))
    Dispatcher(home, lambda _: engine).step()
    assert list(engine.tasks) == [f"vqa-{job.id}-1"]
    assert queue.get(job.id).handle == f"vqa-{job.id}-1"


def test_a_new_dispatcher_leaves_running_jobs_alone(
    home: Home, queue: Queue, dispatcher: Dispatcher, engine: Scripted, submission: Submit
) -> None:
    job = started(queue, dispatcher, submission())
    beat(home, job, 1)
    Dispatcher(home, lambda _: engine).step()
    assert queue.get(job.id).state is State.RUNNING
    assert len(engine.tasks) == 1
    assert engine.cancelled == []


def test_a_lost_job_is_started_again_until_its_restarts_are_used_up(
    home: Home, queue: Queue, dispatcher: Dispatcher, engine: Scripted, submission: Submit
) -> None:
    job = started(queue, dispatcher, submission(max_restarts=2))
    for attempt in (1, 2, 3):
        now = queue.get(job.id)
        assert now.attempt == attempt
        finish(home, engine, now, None)
        dispatcher.step()
    now = queue.get(job.id)
    assert (now.state, now.restarts) == (State.LOST, 2)
    assert "vanished" in now.reason
    assert "3 times" in now.reason


def saved(home: Home, job: Job, step: int) -> None:
    """The run has a checkpoint of that step."""
    folder = home.run_dir(job.id) / "checkpoints"
    folder.mkdir(exist_ok=True)
    (folder / f"step-{step:09d}.json").write_text("{}")


def test_a_lost_job_that_comes_further_each_time_is_started_again_without_end(
    home: Home, queue: Queue, dispatcher: Dispatcher, engine: Scripted, submission: Submit
) -> None:
    job = started(queue, dispatcher, submission(max_restarts=1))
    for step in (5, 10, 15, 15):
        saved(home, job, step)
        finish(home, engine, queue.get(job.id), None)
        assert queue.get(job.id).state is State.STARTING
        dispatcher.step()
    assert (queue.get(job.id).state, queue.get(job.id).attempt) == (State.LOST, 4)
    queue.resume(job.id)
    dispatcher.step()
    saved(home, job, 20)
    finish(home, engine, queue.get(job.id), None)
    dispatcher.step()
    assert (queue.get(job.id).restarts, queue.get(job.id).reached) == (1, 20)


def test_a_job_that_is_not_to_be_started_again_is_not(
    home: Home, queue: Queue, dispatcher: Dispatcher, engine: Scripted, submission: Submit
) -> None:
    job = started(queue, dispatcher, submission(max_restarts=0))
    saved(home, job, 5)
    finish(home, engine, job, None)
    dispatcher.step()
    assert queue.get(job.id).state is State.LOST


def test_the_runner_says_why_a_job_was_lost(
    home: Home, queue: Queue, dispatcher: Dispatcher, engine: Scripted, submission: Submit
) -> None:
    """By the attempt: the clock of its machine may be another one."""
    job = started(queue, dispatcher, submission())
    why = {"rank 1 was killed by signal 9": job.attempt, "long ago": job.attempt - 1}
    events = [
        {"time": 0, "event": "lost", "reason": reason, "attempt": attempt}
        for reason, attempt in why.items()
    ]
    text = "".join(f"{json.dumps(event)}\n" for event in events) + "{torn"
    (home.run_dir(job.id) / "events.jsonl").write_text(text)
    finish(home, engine, job, None)
    dispatcher.step()
    assert "rank 1 was killed by signal 9" in [c.reason for c in queue.history(job.id)][2]


def test_the_result_of_an_earlier_attempt_does_not_count(
    home: Home, queue: Queue, dispatcher: Dispatcher, engine: Scripted, submission: Submit
) -> None:
    job = started(queue, dispatcher, submission())
    finish(home, engine, job, "preempted")
    dispatcher.step()  # preempted, and started again at once
    assert states(queue, job) == ["queued", "starting", "preempted", "starting"]
    again = queue.get(job.id)
    assert (again.attempt, again.restarts) == (2, 0)
    finish(home, engine, again, None)
    dispatcher.step()
    assert queue.get(job.id).restarts == 1
    finish(home, engine, queue.get(job.id), "half done")  # nor does a word that is no end
    dispatcher.step()
    assert queue.get(job.id).restarts == 2


def test_a_job_that_failed_by_its_own_fault_is_not_tried_again(
    home: Home, queue: Queue, dispatcher: Dispatcher, engine: Scripted, submission: Submit
) -> None:
    job = started(queue, dispatcher, submission())
    finish(home, engine, job, "failed", error="the loss is NaN")
    dispatcher.step()
    dispatcher.step()
    now = queue.get(job.id)
    assert (now.state, now.reason, now.attempt) == (State.FAILED, "the loss is NaN", 1)


def test_cancelling_asks_first_and_kills_after_the_grace(
    home: Home, queue: Queue, engine: Scripted, submission: Submit, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home.path / "settings.yaml").write_text("grace_seconds: 0\nquotas: {min_free_mb: 0}")
    dispatcher = Dispatcher(Home(home.path), lambda _: engine)
    job = started(queue, dispatcher, submission())
    queue.request_cancel(job.id)
    dispatcher.step()
    assert engine.cancelled == [(job.handle, False)]
    assert (home.run_dir(job.id) / "cancel").exists()
    dispatcher.step()
    assert len(engine.cancelled) == 1
    later = time.monotonic() + 1.5
    monkeypatch.setattr("vqa.jobs.patience.time.monotonic", lambda: later)
    dispatcher.step()
    assert engine.cancelled[1:] == [(job.handle, True)]
    finish(home, engine, job, None)
    dispatcher.step()
    assert queue.get(job.id).state is State.CANCELLED
    result = json.loads((home.run_dir(job.id) / "result.json").read_text())
    assert result["status"] == "cancelled"
    assert [*events_of(home.run_dir(job.id))][-1]["event"] == "cancelled"


def test_a_run_that_finished_before_it_was_cancelled_has_succeeded(
    home: Home, queue: Queue, dispatcher: Dispatcher, engine: Scripted, submission: Submit
) -> None:
    job = started(queue, dispatcher, submission())
    queue.request_cancel(job.id)
    finish(home, engine, job, "succeeded")
    dispatcher.step()
    assert queue.get(job.id).state is State.SUCCEEDED


def test_a_resumed_job_is_not_stopped_by_its_old_cancellation(
    home: Home, queue: Queue, dispatcher: Dispatcher, engine: Scripted, submission: Submit
) -> None:
    job = started(queue, dispatcher, submission())
    queue.request_cancel(job.id)
    dispatcher.step()
    finish(home, engine, job, "cancelled")
    dispatcher.step()
    queue.resume(job.id)
    dispatcher.step()
    assert queue.get(job.id).attempt == 2
    assert not (home.run_dir(job.id) / "cancel").exists()


def test_a_job_without_a_sign_of_life_is_killed_and_lost(
    home: Home, queue: Queue, dispatcher: Dispatcher, engine: Scripted, submission: Submit,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    job = started(queue, dispatcher, submission())
    beat(home, job, 5)
    dispatcher.step()
    clock = time.monotonic()
    monkeypatch.setattr("vqa.jobs.patience.time.monotonic", lambda: clock)
    clock += 29
    beat(home, job, 6)
    dispatcher.step()
    clock += 29
    dispatcher.step()
    assert engine.cancelled == []
    clock += 2
    dispatcher.step()
    assert engine.cancelled == [(job.handle, True)]
    finish(home, engine, job, None)
    dispatcher.step()
    assert queue.get(job.id).restarts == 1


def test_a_job_that_its_engine_took_back_starts_again(
    home: Home, queue: Queue, dispatcher: Dispatcher, engine: Scripted, submission: Submit
) -> None:
    job = started(queue, dispatcher, submission())
    beat(home, job, 1)
    dispatcher.step()
    engine.now[str(job.handle)] = Standing.PENDING
    dispatcher.step()
    engine.now[str(job.handle)] = Standing.RUNNING
    beat(home, job, 2)
    dispatcher.step()
    assert states(queue, job)[-3:] == ["running", "starting", "running"]


def test_the_first_that_does_not_fit_is_not_overtaken(
    home: Home, queue: Queue, dispatcher: Dispatcher, engine: Scripted, submission: Submit
) -> None:
    engine.room = Capacity((), 4, 1000)
    small = submission(resources=Resources(cores=3))
    large = submission(resources=Resources(cores=4), priority=1)
    first = started(queue, dispatcher, small)
    waiting, behind = queue.submit(large)[0], queue.submit(small)[0]
    dispatcher.step()
    assert [queue.get(j.id).state.value for j in (waiting, behind)] == ["queued", "queued"]
    finish(home, engine, first, "succeeded")
    dispatcher.step()
    assert [queue.get(j.id).state.value for j in (waiting, behind)] == ["starting", "queued"]


def test_a_job_that_waits_says_for_what_until_it_starts(
    home: Home, queue: Queue, dispatcher: Dispatcher, engine: Scripted, submission: Submit
) -> None:
    engine.room = Capacity((), 4, 1000)
    first = started(queue, dispatcher, submission(resources=Resources(cores=3)))
    head = started(queue, dispatcher, submission(resources=Resources(cores=2)))
    behind = started(queue, dispatcher, submission())
    assert first.reason == ""
    assert queue.get(head.id).reason == "waits for 2 cores (1 of 4 free)"
    assert behind.reason == "waits for jobs before it"
    finish(home, engine, first, "succeeded")
    dispatcher.step()
    assert [queue.get(job.id).reason for job in (head, behind)] == ["", ""]
    assert {change.reason for change in queue.history(head.id)} == {""}


def test_what_it_waits_for_is_written_once_where_it_stays_the_same(
    queue: Queue,
    dispatcher: Dispatcher,
    engine: Scripted,
    submission: Submit,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine.room = Capacity((), 4, 1000)
    written: list[int] = []
    note = dispatcher.queue.note
    monkeypatch.setattr(
        dispatcher.queue, "note", lambda said: (written.append(len(said)), note(said))
    )
    for _ in range(6):
        queue.submit(submission(resources=Resources(cores=3)))
    for _ in range(3):
        dispatcher.step()
    assert written == [5]


def test_a_full_disk_is_what_jobs_wait_for(
    home: Home, queue: Queue, engine: Scripted, submission: Submit
) -> None:
    job = queue.submit(submission())[0]
    (home.path / "settings.yaml").write_text("quotas: {min_free_mb: 100000000000}")
    Dispatcher(Home(home.path), lambda _: engine).step()
    said = "waits for room on the disk: less than 100000000000 MiB are free"
    assert (queue.get(job.id).state, queue.get(job.id).reason) == (State.QUEUED, said)
    (home.path / "settings.yaml").write_text("quotas: {min_free_mb: 0}")
    Dispatcher(Home(home.path), lambda _: engine).step()
    assert (queue.get(job.id).state, queue.get(job.id).reason) == (State.STARTING, "")


def test_each_job_gets_gpus_of_its_own(
    queue: Queue, dispatcher: Dispatcher, engine: Scripted, submission: Submit
) -> None:
    engine.room = Capacity(("0", "1", "2"), 8, 1000)
    two = submission(resources=Resources(accelerator="gpu", devices=2))
    one = submission(resources=Resources(accelerator="gpu"))
    assert started(queue, dispatcher, two).gpus == ("0", "1")
    assert started(queue, dispatcher, one).gpus == ("2",)
    assert started(queue, dispatcher, one).state is State.QUEUED


def test_only_one_dispatcher_serves_a_home(
    home: Home, queue: Queue, engine: Scripted, submission: Submit
) -> None:
    stops = [threading.Event() for _ in range(3)]
    threads = [
        threading.Thread(target=Dispatcher(home, lambda _: engine).run, args=(stop,))
        for stop in stops
    ]
    for thread in threads:
        thread.start()
    jobs = [queue.submit(submission())[0] for _ in range(20)]
    deadline = time.monotonic() + 30
    while len(engine.tasks) < 20 and time.monotonic() < deadline:
        time.sleep(0.02)
    for stop, thread in zip(stops, threads, strict=True):  # the next one takes over each time
        stop.set()
        thread.join()
    assert {task.job for task in engine.tasks.values()} == {job.id for job in jobs}
    assert all(queue.get(job.id).attempt == 1 for job in jobs)
