"""Many jobs changed at once: in one transaction, whole groups with what cannot be left out."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.jobs.conftest import Submit
from vqa.errors import JobError
from vqa.jobs.home import Home
from vqa.jobs.local_service import LocalService
from vqa.jobs.own_service import OwnService
from vqa.jobs.queue import Queue
from vqa.jobs.quotas import Room
from vqa.jobs.record import State
from vqa.jobs.schema import Transaction
from vqa.jobs.views import SubmitRequest


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The transactions that were begun since."""
    found: list[object] = []
    enter = Transaction.__enter__
    monkeypatch.setattr(Transaction, "__enter__", lambda self: (found.append(self), enter(self))[1])
    return found


def put(queue: Queue, submission: Submit, state: State, **fields: str) -> str:
    job = queue.claim(queue.submit(submission(group="g", **fields))[0])
    assert job is not None
    queue.move(job, state)
    return job.id


def test_what_has_ended_is_left_out(
    queue: Queue, submission: Submit, begun: list[object], home: Home
) -> None:
    waiting = [queue.submit(submission(group="g"))[0].id for _ in range(3)]
    running, done = (put(queue, submission, state) for state in (State.RUNNING, State.SUCCEEDED))
    begun.clear()
    asked = queue.request_cancel_all([*waiting, running, done, "none"])
    assert [(job.id, job.state, job.cancel_requested) for job in asked] == [
        *((job, State.CANCELLED, True) for job in waiting),
        (running, State.RUNNING, True),
    ]
    again = queue.resume_all([*waiting, running, done, "none"])
    assert [(job.id, job.state) for job in again] == [(job, State.QUEUED) for job in waiting]
    assert len(begun) == 2
    assert [change.state for change in queue.history(waiting[0])] == [
        State.QUEUED,
        State.CANCELLED,
        State.QUEUED,
    ]


def test_a_group_is_changed_in_one_transaction(
    home: Home, queue: Queue, submission: Submit, begun: list[object]
) -> None:
    service = LocalService(home, "ada")
    for _ in range(5):
        put(queue, submission, State.FAILED)
    begun.clear()
    assert [job.state for job in service.retry_group("g")] == ["queued"] * 5
    assert len(begun) == 1
    assert [job.state for job in service.cancel_group("g")] == ["cancelled"] * 5
    assert len(begun) == 2


def test_a_group_is_queued_again_as_a_whole_or_not(
    home: Home, queue: Queue, submission: Submit
) -> None:
    (home.path / "settings.yaml").write_text("quotas: {min_free_mb: 0, jobs_per_user: 2}\n")
    jobs = [put(queue, submission, State.FAILED) for _ in range(3)]
    with pytest.raises(JobError, match="ada has 0 unfinished jobs, and 3 more would exceed 2"):
        LocalService(Home(home.path), "ada").retry_group("g")
    assert {queue.get(job).state for job in jobs} == {State.FAILED}
    queue.remove(jobs[0])
    assert len(LocalService(Home(home.path), "ada").retry_group("g")) == 2


def test_a_group_is_seen_by_a_dispatcher(
    home: Home, queue: Queue, submission: Submit, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Path] = []
    monkeypatch.setattr(
        "vqa.jobs.own_service.ensure_dispatcher", lambda home: started.append(home.path)
    )
    put(queue, submission, State.FAILED)
    OwnService(home, "ada").retry_group("g")
    assert started == [home.path]


def test_a_run_that_cannot_be_written_holds_up_no_other(
    home: Home, queue: Queue, submission: Submit
) -> None:
    """Jobs that wait to go on, whose last results say: preempted."""
    jobs = [put(queue, submission, State.PREEMPTED) for _ in range(3)]
    for job in jobs:
        home.run_dir(job).mkdir()
    (home.run_dir(jobs[0]) / "result.json").mkdir()
    service = LocalService(home, "ada")
    told = [service.cancel(jobs[0]), *service.cancel_group("g")]
    assert [job.state for job in told] == [State.CANCELLED] * 3
    why = "cancelled while it waited; its result.json cannot be written (Is a directory)"
    assert [job.reason for job in told] == [why, *["cancelled while it waited"] * 2]
    for job in jobs[1:]:
        result = json.loads((home.run_dir(job) / "result.json").read_text())
        assert result["status"] == "cancelled"


def test_a_run_that_stops_in_this_moment_says_that_it_is_cancelled(
    home: Home, queue: Queue, submission: Submit
) -> None:
    """When the job was looked at it ran; when it is asked to end it waits."""
    ran = queue.claim(queue.submit(submission(group="g"))[0])
    assert ran is not None
    result = home.run_dir(ran.id) / "result.json"
    result.parent.mkdir()
    queue.move(ran, State.PREEMPTED)
    [told] = LocalService(home, "ada").cancel_all([ran])
    assert told.state is State.CANCELLED
    assert json.loads(result.read_text())["status"] == "cancelled"


def test_two_processes_cannot_take_the_last_place(
    home: Home, submission: Submit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each has a service of its own; the first is held between its check and its entry in the queue."""
    (home.path / "settings.yaml").write_text("quotas: {min_free_mb: 0, jobs_per_user: 1}\n")
    services = [LocalService(Home(home.path), "ada") for _ in range(2)]
    request = SubmitRequest(experiment=submission().experiment)
    checked, go_on, original = threading.Event(), threading.Event(), Room.check

    def check(self: Room, *args: Any) -> None:
        original(self, *args)
        checked.set()
        assert go_on.wait(60)

    monkeypatch.setattr(Room, "check", check)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(services[0].submit, request)
        assert checked.wait(60)
        checked.clear()
        second = pool.submit(services[1].submit, request)
        assert not checked.wait(1.0)
        go_on.set()
        assert first.result(60).state == "queued"
        with pytest.raises(JobError, match="1 more would exceed 1"):
            second.result(60)
