"""The dispatcher's decisions, against an engine that does as the test says. Real engines: tests/jobs/engines."""

from __future__ import annotations

import contextlib
import json
import shutil
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from vqa.errors import EngineError
from vqa.jobs import dispatcher as room
from vqa.jobs.dispatcher import Dispatcher
from vqa.jobs.engines.base import Capacity, Standing, Task
from vqa.jobs.heartbeat import Beat
from vqa.jobs.home import Home
from vqa.jobs.queue import Queue
from vqa.jobs.record import Job, Resources, State, Submission

Submit = Callable[..., Submission]


class Scripted:
    """An engine whose tasks stand where the test puts them."""

    def __init__(self) -> None:
        self.tasks: dict[str, Task] = {}
        self.now: dict[str, Standing] = {}
        self.cancelled: list[tuple[str, bool]] = []
        self.room: Capacity | None = None
        self.fault: Exception | None = None

    def submit(self, task: Task) -> str:
        """Start, or find."""
        if self.fault is not None:
            raise self.fault
        self.tasks.setdefault(task.name, task)
        self.now.setdefault(task.name, Standing.RUNNING)
        return task.name

    def standings(self, handles: Sequence[str]) -> dict[str, Standing]:
        """As the test said."""
        return {handle: self.now.get(handle, Standing.ENDED) for handle in handles}

    def cancel(self, handle: str, *, force: bool) -> None:
        """Remember."""
        self.cancelled.append((handle, force))

    def logs(self, task: Task) -> list[Path]:
        """None."""
        return []

    def capacity(self) -> Capacity | None:
        """As the test said."""
        return self.room


@pytest.fixture
def engine() -> Scripted:
    return Scripted()


@pytest.fixture
def dispatcher(home: Home, engine: Scripted) -> Dispatcher:
    return Dispatcher(home, lambda _: engine)


def beat(home: Home, job: Job, count: int) -> None:
    folder = home.run_dir(job.id) / "heartbeats"
    folder.mkdir(exist_ok=True)
    sign = Beat(job.id, job.attempt, 0, "host", 1, 1.0, count, 0.0)
    (folder / "0.json").write_text(json.dumps(asdict(sign)))


def finish(home: Home, engine: Scripted, job: Job, status: str | None, **fields: object) -> None:
    """The task ends, with or without a result."""
    if status is not None:
        result = {"status": status, "job": job.id, "attempt": job.attempt, **fields}
        (home.run_dir(job.id) / "result.json").write_text(json.dumps(result))
    engine.now[f"vqa-{job.id}-{job.attempt}"] = Standing.ENDED


def started(queue: Queue, dispatcher: Dispatcher, wanted: Submission) -> Job:
    job = queue.submit(wanted)[0]
    dispatcher.step()
    return queue.get(job.id)


def states(queue: Queue, job: Job) -> list[str]:
    return [change.state.value for change in queue.history(job.id)]


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


def test_the_runner_says_why_a_job_was_lost(
    home: Home, queue: Queue, dispatcher: Dispatcher, engine: Scripted, submission: Submit
) -> None:
    job = started(queue, dispatcher, submission())
    event = {"time": time.time() + 1, "event": "lost", "reason": "rank 1 was killed by signal 9"}
    (home.run_dir(job.id) / "events.jsonl").write_text(json.dumps(event) + "\n{torn")
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


def test_an_engine_that_does_not_answer_changes_nothing(
    queue: Queue, dispatcher: Dispatcher, engine: Scripted, submission: Submit
) -> None:
    job = started(queue, dispatcher, submission())
    engine.now[str(job.handle)] = Standing.UNKNOWN
    dispatcher.step()
    assert queue.get(job.id).state is State.STARTING


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


def test_each_job_gets_gpus_of_its_own(
    queue: Queue, dispatcher: Dispatcher, engine: Scripted, submission: Submit
) -> None:
    engine.room = Capacity(("0", "1", "2"), 8, 1000)
    two = submission(resources=Resources(accelerator="gpu", devices=2))
    one = submission(resources=Resources(accelerator="gpu"))
    assert started(queue, dispatcher, two).gpus == ("0", "1")
    assert started(queue, dispatcher, one).gpus == ("2",)
    assert started(queue, dispatcher, one).state is State.QUEUED


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
    monkeypatch.setattr(room, "RETRY_SECONDS", 0.0)
    later = time.monotonic() + 11
    monkeypatch.setattr("vqa.jobs.dispatcher.time.monotonic", lambda: later)
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


class Arrays(Scripted):
    """One that takes many tasks by one call, up to a number."""

    def __init__(self, most: int = 1000) -> None:
        super().__init__()
        self.most, self.calls, self.alone = most, list[int](), 0
        self.bad: set[str] = set()

    def submit(self, task: Task) -> str:
        """One."""
        self.alone += 1
        if task.job in self.bad:
            raise EngineError("refused", where=task.job)
        return super().submit(task)

    def submit_array(self, tasks: Sequence[Task]) -> list[str]:
        """All or none."""
        self.calls.append(len(tasks))
        assert len({task.resources for task in tasks}) == 1
        if self.fault is not None:
            raise self.fault
        if len(tasks) > self.most or any(task.job in self.bad for task in tasks):
            raise EngineError("refused")
        return [super(Arrays, self).submit(task) for task in tasks]


@pytest.fixture
def arrays() -> Arrays:
    return Arrays()


def grid(queue: Queue, submission: Submit, count: int, **fields: Any) -> list[Job]:
    wanted = {"engine": "slurm", "group": "g", **fields}
    return [queue.submit(submission(**wanted))[0] for _ in range(count)]


def handles(queue: Queue, jobs: Sequence[Job]) -> list[str | None]:
    return [queue.get(job.id).handle for job in jobs]


def test_a_group_is_handed_over_as_one_array_and_each_job_stays_its_own(
    home: Home, queue: Queue, arrays: Arrays, submission: Submit
) -> None:
    jobs = grid(queue, submission, 5)
    dispatcher = Dispatcher(home, lambda _: arrays)
    dispatcher.step()
    assert (arrays.calls, arrays.alone) == ([5], 0)
    assert handles(queue, jobs) == [f"vqa-{job.id}-1" for job in jobs]
    first, second, third = (queue.get(job.id) for job in jobs[:3])
    queue.request_cancel(first.id)
    finish(home, arrays, second, "succeeded")
    arrays.now[str(third.handle)] = Standing.ENDED  # lost
    dispatcher.step()
    assert arrays.cancelled == [(first.handle, False)]
    assert queue.get(second.id).state is State.SUCCEEDED
    again = queue.get(third.id)
    assert (again.attempt, again.handle, arrays.alone) == (2, f"vqa-{third.id}-2", 1)
    assert arrays.calls == [5]


def test_only_what_belongs_together_is_one_array(
    home: Home, queue: Queue, arrays: Arrays, submission: Submit
) -> None:
    grid(queue, submission, 2)
    grid(queue, submission, 3, group="h")
    grid(queue, submission, 2, group=None)
    grid(queue, submission, 2, resources=Resources(nodes=2))
    grid(queue, submission, 4, resources=Resources(cores=3))
    Dispatcher(home, lambda _: arrays).step()
    assert (sorted(arrays.calls), arrays.alone) == ([2, 3, 4], 4)
    assert not queue.waiting()


def test_a_large_grid_is_one_array_too(
    home: Home, queue: Queue, arrays: Arrays, submission: Submit
) -> None:
    grid(queue, submission, 150)
    Dispatcher(home, lambda _: arrays).step()
    assert arrays.calls == [150]


def test_where_there_are_no_arrays_no_job_overtakes_another(
    home: Home, queue: Queue, engine: Scripted, submission: Submit
) -> None:
    jobs = [queue.submit(submission(group=group))[0] for group in ("g", None, "g", "h", "g")]
    Dispatcher(home, lambda _: engine).step()
    assert list(engine.tasks) == [f"vqa-{job.id}-1" for job in jobs]


@pytest.mark.parametrize("most", [1, 2, 3, 4])
def test_an_array_that_is_too_large_is_handed_over_in_parts(
    home: Home, queue: Queue, submission: Submit, most: int
) -> None:
    arrays, jobs = Arrays(most), grid(queue, submission, 7)
    Dispatcher(home, lambda _: arrays).step()
    assert handles(queue, jobs) == [f"vqa-{job.id}-1" for job in jobs]
    assert len(arrays.tasks) == 7


@pytest.mark.parametrize("at", [0, 3, 6])
def test_one_that_is_refused_takes_no_other_with_it(
    home: Home, queue: Queue, arrays: Arrays, submission: Submit, at: int
) -> None:
    jobs = grid(queue, submission, 7)
    arrays.bad.add(jobs[at].id)
    Dispatcher(home, lambda _: arrays).step()
    found = [queue.get(job.id).state for job in jobs]
    assert found == [State.FAILED if each == at else State.STARTING for each in range(7)]


def test_one_whose_run_directory_cannot_be_made_is_left_out_of_the_array(
    home: Home, queue: Queue, arrays: Arrays, submission: Submit
) -> None:
    jobs = grid(queue, submission, 3)
    home.run_dir(jobs[1].id).write_text("in the way")
    Dispatcher(home, lambda _: arrays).step()
    assert [queue.get(job.id).state.value for job in jobs] == ["starting", "failed", "starting"]
    assert arrays.calls == [2]


def test_an_array_for_an_engine_that_is_away_is_handed_over_later(
    home: Home, queue: Queue, arrays: Arrays, submission: Submit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "RETRY_SECONDS", 0.0)
    jobs = grid(queue, submission, 4)
    arrays.fault = EngineError("away", temporary=True)
    dispatcher = Dispatcher(home, lambda _: arrays)
    dispatcher.step()
    assert handles(queue, jobs) == [None] * 4
    assert {queue.get(job.id).reason for job in jobs} == {"away"}
    queue.request_cancel(jobs[0].id)
    arrays.fault = None
    dispatcher.step()
    assert handles(queue, jobs) == [f"vqa-{job.id}-1" for job in jobs]
    assert arrays.calls == [4, 4]


@pytest.mark.parametrize("noted", range(4))
def test_a_dispatcher_that_died_after_an_array_finds_each_job_again(
    home: Home, queue: Queue, arrays: Arrays, submission: Submit, noted: int
) -> None:
    jobs = grid(queue, submission, 3)

    class Death(BaseException):
        pass

    left = iter([True] * noted)
    dying = Dispatcher(home, lambda _: arrays)
    real = dying.queue.set_handle

    def note(job: Job, handle: str) -> None:
        if not next(left, False):
            raise Death
        real(job, handle)

    dying.queue.set_handle = note  # type: ignore[method-assign]
    with contextlib.suppress(Death):
        dying.step()
    Dispatcher(home, lambda _: arrays).step()
    assert handles(queue, jobs) == [f"vqa-{job.id}-1" for job in jobs]
    assert len(arrays.tasks) == 3
    assert [queue.get(job.id).attempt for job in jobs] == [1, 1, 1]
