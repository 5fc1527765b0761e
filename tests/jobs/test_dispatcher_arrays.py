"""Groups that a dispatcher hands over as arrays, each job of which stays its own."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

import pytest

from tests.jobs.conftest import Submit
from tests.jobs.scripted import Scripted, finish
from vqa.errors import EngineError
from vqa.jobs import handover
from vqa.jobs.dispatcher import Dispatcher
from vqa.jobs.engines.base import Standing, Task
from vqa.jobs.home import Home
from vqa.jobs.queue import Queue
from vqa.jobs.record import Job, Resources, State


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
    monkeypatch.setattr(handover, "RETRY_SECONDS", 0.0)
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
