"""A machine that has no room, files or processes left for now: its jobs wait for them, and none fails."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from unittest.mock import Mock

import pytest

from tests.jobs.conftest import Submit
from tests.jobs.scripted import Scripted, finish, started
from vqa.errors import EngineError
from vqa.jobs import handover
from vqa.jobs.dispatcher import Dispatcher
from vqa.jobs.home import Home
from vqa.jobs.queue import Queue
from vqa.jobs.record import State


def no_room(number: int) -> OSError:
    return OSError(number, os.strerror(number))


@pytest.mark.parametrize("number", [errno.EDQUOT, errno.EMFILE, errno.EIO])
def test_a_job_whose_run_directory_has_no_room_now_waits_for_it(
    queue: Queue, dispatcher: Dispatcher, submission: Submit, monkeypatch: pytest.MonkeyPatch,
    number: int,
) -> None:  # fmt: skip
    with monkeypatch.context() as patch:
        patch.setattr(handover, "write_atomic", Mock(side_effect=no_room(number)))
        job = started(queue, dispatcher, submission())
    assert (job.state, job.handle) == (State.STARTING, None)
    assert os.strerror(number) in job.reason
    dispatcher.step()
    assert (queue.get(job.id).attempt, queue.get(job.id).handle) == (1, f"vqa-{job.id}-1")


def test_a_job_whose_process_cannot_be_made_now_waits_for_it(
    queue: Queue, dispatcher: Dispatcher, engine: Scripted, submission: Submit
) -> None:
    engine.fault = EngineError("cannot be started")
    engine.fault.__cause__ = no_room(errno.EAGAIN)
    job = started(queue, dispatcher, submission())
    assert (job.state, job.reason) == (State.STARTING, "cannot be started")
    queue.request_cancel(job.id)
    dispatcher.step()
    assert queue.get(job.id).state is State.CANCELLED


def test_a_result_that_cannot_be_read_now_is_read_later(
    home: Home, queue: Queue, dispatcher: Dispatcher, engine: Scripted, submission: Submit,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    jobs = [started(queue, dispatcher, submission(max_restarts=0)) for _ in range(2)]
    for job in jobs:
        finish(home, engine, job, "succeeded")
    queue.request_cancel(jobs[1].id)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_text", Mock(side_effect=no_room(errno.EMFILE)))
        dispatcher.step()
    waits, ended = (queue.get(job.id) for job in jobs)
    assert (waits.state, ended.state) == (State.STARTING, State.CANCELLED)
    assert os.strerror(errno.EMFILE) in waits.reason
    dispatcher.step()
    assert queue.get(waits.id).state is State.SUCCEEDED


def test_a_queue_that_was_opened_for_reading_only_is_opened_again(
    queue: Queue, dispatcher: Dispatcher, submission: Submit
) -> None:
    job = queue.submit(submission())[0]
    dispatcher.queue._connection().execute("PRAGMA query_only = 1")
    dispatcher._serve(Mock(is_set=Mock(side_effect=[False, False, True])), until_idle=False)
    assert queue.get(job.id).state is State.STARTING
