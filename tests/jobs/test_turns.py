"""Users take turns where one job runs at a time, too."""

from __future__ import annotations

from tests.jobs.conftest import Submit
from vqa.jobs.queue import Queue
from vqa.jobs.record import Job, State


def served(queue: Queue, count: int) -> list[str]:
    """Whose jobs run, where one does at a time."""
    users = []
    for _ in range(count):
        first = queue.waiting()[0]
        assert queue.waiting(limit=1) == [first]
        job = queue.claim(first)
        assert job is not None
        users.append(job.submission.user)
        queue.move(job, State.SUCCEEDED)
    return users


def put(queue: Queue, submission: Submit, user: str, count: int) -> list[Job]:
    return [queue.submit(submission(user=user))[0] for _ in range(count)]


def test_one_after_the_other(queue: Queue, submission: Submit) -> None:
    put(queue, submission, "ada", 4)
    put(queue, submission, "ben", 2)
    assert served(queue, 2) == ["ada", "ben"]
    put(queue, submission, "eva", 1)
    assert served(queue, 5) == ["eva", "ada", "ben", "ada", "ada"]


def test_a_user_whose_jobs_were_forgotten_is_a_new_one(queue: Queue, submission: Submit) -> None:
    [old], _ = put(queue, submission, "ada", 1), put(queue, submission, "ben", 2)
    assert served(queue, 2) == ["ada", "ben"]
    assert queue.remove(old.id)
    put(queue, submission, "ada", 1)
    assert served(queue, 2) == ["ada", "ben"]


def test_who_was_served_elsewhere_waits_no_longer_for_it(queue: Queue, submission: Submit) -> None:
    [away] = [queue.submit(submission(user="ada", engine="slurm"))[0]]
    assert queue.claim(away)
    put(queue, submission, "ada", 1)
    put(queue, submission, "ben", 1)
    assert served(queue, 2) == ["ada", "ben"]
