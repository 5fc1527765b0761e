"""The queue keeps what it acknowledged, and changes a job in one way at a time."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from vqa.errors import JobError
from vqa.jobs.queue import Queue
from vqa.jobs.record import (
    ACTIVE,
    TERMINAL,
    WAITING,
    Filter,
    Job,
    Loss,
    Resources,
    State,
    Submission,
)

Submit = Callable[..., Submission]


def plain(number: int = 0, **fields: object) -> Submission:
    """A submission whose experiment the queue does not look into."""
    return Submission(**{"experiment": {"seed": number}, "user": "ada", "name": "n", **fields})  # type: ignore[arg-type]


def test_a_job_comes_back_as_it_was_submitted(queue: Queue, submission: Submit) -> None:
    wanted = submission(
        engine="slurm",
        group="fusions",
        key="k",
        priority=3,
        max_restarts=7,
        resources=Resources(accelerator="gpu", nodes=2, devices=4, cores=8, memory_mb=9),
    )
    job, new = queue.submit(wanted)
    assert new
    assert queue.get(job.id) == job
    assert job.submission == wanted
    assert (job.state, job.attempt, job.restarts, job.handle) == (State.QUEUED, 0, 0, None)
    assert [change.state for change in queue.history(job.id)] == [State.QUEUED]


def test_a_key_gives_the_same_job_back_and_refuses_another_submission(queue: Queue) -> None:
    first, _ = queue.submit(plain(1, key="k"))
    again, new = queue.submit(plain(1, key="k"))
    assert (again, new) == (first, False)
    other, new = queue.submit(plain(2, key="k", user="bob"))  # another user's key
    assert new
    assert other.id != first.id
    with pytest.raises(JobError, match="another submission") as error:
        queue.submit(plain(2, key="k"))
    assert error.value.kind == "conflict"


def test_several_are_kept_all_or_none(queue: Queue) -> None:
    queue.submit(plain(1, key="k"))
    with pytest.raises(JobError):
        queue.submit_all([plain(5), plain(2, key="k")])
    assert len(queue.find()) == 1


def test_jobs_wait_in_order_of_priority_then_of_submission(queue: Queue) -> None:
    jobs = [queue.submit(plain(i, priority=p))[0] for i, p in enumerate((0, 5, 0, 5, -1))]
    assert [job.id for job in queue.waiting()] == [jobs[i].id for i in (1, 3, 0, 2, 4)]


def test_users_take_turns_among_equal_priorities(queue: Queue) -> None:
    ada = [queue.submit(plain(i, user="ada"))[0] for i in range(4)]
    ben = [queue.submit(plain(i, user="ben"))[0] for i in range(2)]
    eva = queue.submit(plain(user="eva"))[0]
    turns = [ada[0], ben[0], eva, ada[1], ben[1], ada[2], ada[3]]
    assert [job.id for job in queue.waiting()] == [job.id for job in turns]
    assert [job.id for job in queue.waiting(limit=3)] == [job.id for job in turns[:3]]
    assert queue.claim(ada[0])
    assert queue.claim(ada[1])
    after = [ben[0], eva, ben[1], ada[2], ada[3]]
    assert [job.id for job in queue.waiting()] == [job.id for job in after]


def test_an_engine_with_an_order_of_its_own_gets_jobs_as_they_came(queue: Queue) -> None:
    """Turns would cut its arrays into pieces."""
    users = ("ada", "ada", "ben", "ada")
    jobs = [queue.submit(plain(i, user=u, engine="slurm"))[0] for i, u in enumerate(users)]
    urgent = queue.submit(plain(9, user="ada", engine="slurm", priority=1))[0]
    found = queue.waiting(more={"slurm": 1000})
    assert [job.id for job in found] == [job.id for job in (urgent, *jobs)]


def test_what_runs_on_another_engine_takes_nobodys_turn(queue: Queue) -> None:
    assert queue.claim(queue.submit(plain(user="ada", engine="slurm"))[0])
    ada, ben = (queue.submit(plain(user=user))[0] for user in ("ada", "ben"))
    assert [job.id for job in queue.waiting()] == [ada.id, ben.id]


def test_priority_comes_before_turns_and_a_user_overtakes_nothing_of_their_own(
    queue: Queue,
) -> None:
    ada = [queue.submit(plain(i, user="ada", priority=p))[0] for i, p in enumerate((0, 2, 2, 1))]
    ben = [queue.submit(plain(i, user="ben", priority=p))[0] for i, p in enumerate((1, 2, 0))]
    order = [job.id for job in queue.waiting()]
    expected = [ada[1], ben[1], ada[2], ben[0], ada[3], ben[2], ada[0]]
    assert order == [job.id for job in expected]


def test_an_engine_may_be_asked_for_more_waiting_jobs(queue: Queue) -> None:
    for number in range(4):
        queue.submit(plain(number))
        queue.submit(plain(number, engine="slurm"))
    found = [job.submission.engine for job in queue.waiting(2, {"slurm": 3})]
    assert found == ["local"] * 2 + ["slurm"] * 3


def test_a_groups_members_are_known_in_order(queue: Queue) -> None:
    jobs = [queue.submit(plain(number, group="g"))[0] for number in range(3)]
    queue.submit(plain(9, group="other"))
    queue.request_cancel(jobs[1].id)
    states = [State.QUEUED, State.CANCELLED, State.QUEUED]
    assert queue.members("g") == [(job.id, state) for job, state in zip(jobs, states, strict=True)]
    assert queue.members("none") == []


def test_jobs_are_found_by_state_group_user_and_page(queue: Queue) -> None:
    jobs = [
        queue.submit(plain(i, user="ab"[i % 2], group=None if i < 3 else "g"))[0] for i in range(6)
    ]
    queue.request_cancel(jobs[0].id)
    ids = [job.id for job in jobs]
    assert [j.id for j in queue.find(Filter(states=(State.CANCELLED,)))] == [ids[0]]
    assert [j.id for j in queue.find(Filter(group="g"))] == [ids[5], ids[4], ids[3]]
    assert [j.id for j in queue.find(Filter(user="a"))] == [ids[4], ids[2], ids[0]]
    first = queue.find(limit=4)
    rest = queue.find(Filter(before=first[-1].seq), limit=4)
    assert [j.id for j in first + rest] == ids[::-1]
    assert queue.count() == {State.QUEUED: 5, State.CANCELLED: 1}
    queue.submit(plain(6, group="h"))
    assert queue.groups() == [("h", {State.QUEUED: 1}), ("g", {State.QUEUED: 3})]
    queue.submit(plain(7, group="g"))
    assert queue.groups() == [("g", {State.QUEUED: 4}), ("h", {State.QUEUED: 1})]


def test_a_late_word_about_an_earlier_attempt_changes_nothing(queue: Queue) -> None:
    job = queue.submit(plain())[0]
    first = queue.claim(job)
    assert first is not None
    assert queue.claim(job) is None  # two dispatchers cannot start the same attempt
    lost = queue.move(first, State.QUEUED, "lost", loss=Loss(1, -1))
    assert lost is not None
    second = queue.claim(lost)
    assert second is not None
    assert second.attempt == 2
    assert queue.move(first, State.SUCCEEDED) is None
    queue.set_handle(first, "stale")
    assert queue.get(job.id).handle is None
    assert queue.get(job.id).restarts == 1


def test_a_note_lasts_until_the_job_moves_on_and_says_nothing_of_one_that_has_ended(
    queue: Queue,
) -> None:
    job = queue.submit(plain())[0]
    queue.note([(job, "waits")])
    assert queue.get(job.id).reason == "waits"
    claimed = queue.claim(job)
    assert claimed is not None
    assert claimed.reason == ""
    queue.move(claimed, State.FAILED, "the loss is NaN")
    queue.note([(claimed, "waits")])
    assert queue.get(job.id).reason == "the loss is NaN"
    assert "waits" not in {change.reason for change in queue.history(job.id)}


def test_a_job_that_ran_and_waits_again_is_not_cancelled_before_it_ran(queue: Queue) -> None:
    job = queue.submit(plain())[0]
    assert queue.request_cancel(job.id).reason == "cancelled before it ran"
    claimed = queue.claim(queue.resume(job.id))
    assert claimed is not None
    queue.move(claimed, State.CANCELLED)
    queue.resume(job.id)
    assert queue.request_cancel(job.id).reason == "cancelled while it waited"


def test_a_resumed_job_has_its_restarts_anew(queue: Queue) -> None:
    claimed = queue.claim(queue.submit(plain())[0])
    assert claimed is not None
    queue.move(claimed, State.LOST, loss=Loss(3, 10))
    again = queue.resume(claimed.id)
    assert (again.restarts, again.reached) == (0, 10)


def test_cancelling_and_resuming(queue: Queue) -> None:
    job = queue.submit(plain())[0]
    assert queue.request_cancel(job.id).state is State.CANCELLED
    assert queue.request_cancel(job.id).state is State.CANCELLED
    assert queue.resume(job.id).state is State.QUEUED
    with pytest.raises(JobError, match="is queued"):
        queue.resume(job.id)
    claimed = queue.claim(queue.get(job.id))
    assert claimed is not None
    running = queue.request_cancel(job.id)
    assert (running.state, running.cancel_requested) == (State.STARTING, True)
    assert not queue.remove(job.id)
    queue.move(claimed, State.SUCCEEDED)
    with pytest.raises(JobError, match="is succeeded"):
        queue.resume(job.id)
    assert queue.remove(job.id)
    with pytest.raises(JobError, match="no job") as error:
        queue.get(job.id)
    assert error.value.kind == "not-found"


class Life(RuleBasedStateMachine):
    """Any order of calls keeps a job in exactly one legal place."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.queue = Queue(Path(self.folder.name) / "queue.sqlite3")
        self.jobs = [self.queue.submit(plain(i))[0] for i in range(2)]
        self.seen: dict[str, list[Job]] = {job.id: [job] for job in self.jobs}

    def teardown(self) -> None:
        self.queue.close()
        self.folder.cleanup()

    def any_view(self, data: st.DataObject) -> Job:
        job = data.draw(st.sampled_from(self.jobs))
        return data.draw(st.sampled_from(self.seen[job.id]))

    @rule(data=st.data())
    def claim(self, data: st.DataObject) -> None:
        view = self.any_view(data)
        now = self.queue.get(view.id)
        claimed = self.queue.claim(view)
        legal = now.state in WAITING and now.attempt == view.attempt and not now.cancel_requested
        assert (claimed is not None) == legal
        if claimed is not None:
            assert claimed.attempt == now.attempt + 1

    @rule(data=st.data(), state=st.sampled_from(State))
    def move(self, data: st.DataObject, state: State) -> None:
        view = self.any_view(data)
        now = self.queue.get(view.id)
        moved = self.queue.move(view, state)
        assert (moved is not None) == (now.state in ACTIVE and now.attempt == view.attempt)

    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        view = self.any_view(data)
        before = self.queue.get(view.id).state
        after = self.queue.request_cancel(view.id)
        assert after.state == (State.CANCELLED if before in WAITING else before)

    @rule(data=st.data())
    def resume(self, data: st.DataObject) -> None:
        view = self.any_view(data)
        before = self.queue.get(view.id).state
        if before in TERMINAL - {State.SUCCEEDED}:
            assert self.queue.resume(view.id).state is State.QUEUED
        else:
            with pytest.raises(JobError):
                self.queue.resume(view.id)

    @invariant()
    def history_tells_the_state(self) -> None:
        for job in self.jobs:
            now = self.queue.get(job.id)
            self.seen[job.id].append(now)
            history = self.queue.history(job.id)
            assert history[-1].state == now.state
            attempts = [change.attempt for change in history]
            assert attempts == sorted(attempts)
            assert (now.ended is not None) == now.terminal


Life.TestCase.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
TestLife = Life.TestCase


def test_sixteen_writers_lose_nothing(queue: Queue) -> None:
    def write(writer: int) -> list[str]:
        ids = [queue.submit(plain(i, user=f"w{writer}", key=str(i)))[0].id for i in range(25)]
        queue.close()
        return ids

    with ThreadPoolExecutor(16) as pool:
        written = [job for ids in pool.map(write, range(16)) for job in ids]
    assert len(set(written)) == 400
    assert {job.id for job in queue.find(limit=1000)} == set(written)


def test_every_waiting_job_of_an_engine_says_why_but_for_those_that_do(queue: Queue) -> None:
    jobs = [queue.submit(plain(number))[0] for number in range(4)]
    other = queue.submit(plain(9, engine="slurm"))[0]
    queue.note([(jobs[0], "waits for 2 cores")])
    claimed = queue.claim(jobs[1])
    assert claimed is not None
    queue.note_silent("local", "waits for jobs before it")
    said = [queue.get(job.id).reason for job in (*jobs, other)]
    assert said == ["waits for 2 cores", "", *["waits for jobs before it"] * 2, ""]
