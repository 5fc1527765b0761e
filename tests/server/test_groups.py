"""A whole group over HTTP: cancelled, retried, compared; and who may do so."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.server.test_access import is_problem
from vqa.jobs.home import Home
from vqa.jobs.local_service import LocalService
from vqa.jobs.queue import Queue
from vqa.jobs.record import State

Connect = Callable[..., TestClient]
Body = Callable[..., dict[str, Any]]


@pytest.fixture
def jobs(ann: TestClient, request_body: Body, service: LocalService) -> dict[State, str]:
    """One job of ann's group in each of these states."""
    found = {}
    for seed, state in enumerate((State.QUEUED, State.RUNNING, State.FAILED, State.CANCELLED)):
        body = request_body(seed, group="g", engine="slurm")
        job = ann.post("/jobs", json=body).json()["id"]
        found[state] = job
        if state is State.QUEUED:
            continue
        claimed = service.queue.claim(service.queue.get(job))
        assert claimed is not None
        service.queue.move(claimed, state)
    return found


def states(home: Home, jobs: dict[State, str]) -> list[str]:
    queue = Queue(home.queue_file)
    return [str(queue.get(job).state) for job in jobs.values()]


def test_cancel_what_has_not_ended(ann: TestClient, jobs: dict[State, str], home: Home) -> None:
    answer = ann.post("/groups/g/cancel")
    assert answer.status_code == 200
    assert {one["id"] for one in answer.json()} == {jobs[State.QUEUED], jobs[State.RUNNING]}
    assert states(home, jobs) == ["cancelled", "running", "failed", "cancelled"]
    assert Queue(home.queue_file).get(jobs[State.RUNNING]).cancel_requested
    assert ann.post("/groups/g/cancel").json() == []


def test_retry_what_failed_and_not_what_was_ended(
    ann: TestClient, jobs: dict[State, str], home: Home
) -> None:
    assert [one["id"] for one in ann.post("/groups/g/retry").json()] == [jobs[State.FAILED]]
    assert states(home, jobs) == ["queued", "running", "queued", "cancelled"]


def test_who_may(connect: Connect, jobs: dict[State, str], home: Home) -> None:
    for client in (connect("ben"), connect("eve", "read")):
        for verb in ("cancel", "retry"):
            assert client.post(f"/groups/g/{verb}").status_code == 403
    assert states(home, jobs) == ["queued", "running", "failed", "cancelled"]
    assert len(connect("root", "admin").post("/groups/g/retry").json()) == 1


def test_only_ones_own_jobs_of_a_shared_group(
    ann: TestClient, connect: Connect, jobs: dict[State, str], request_body: Body
) -> None:
    ben = connect("ben")
    mine = ben.post("/jobs", json=request_body(9, group="g")).json()["id"]
    assert [one["id"] for one in ben.post("/groups/g/cancel").json()] == [mine]


def test_no_such_group(ann: TestClient) -> None:
    for verb, path in (("POST", "cancel"), ("POST", "retry"), ("GET", "study")):
        assert ann.request(verb, f"/groups/nothing/{path}").status_code == 404
        assert ann.request(verb, f"/groups/..%2f/{path}").status_code in (404, 422)


def test_a_study_is_asked_for_in_words_that_there_are(
    ann: TestClient, jobs: dict[State, str]
) -> None:
    for query in ("baseline=nothing", "split=nothing", "protocol=nothing"):
        answer = ann.get(f"/groups/g/study?{query}")
        assert answer.status_code == 404
        assert query.split("=")[0] in answer.json()["detail"]
    assert ann.get("/groups/g/study?form=pickle").status_code == 422


def test_why_there_is_no_study_and_what_to_do(ann: TestClient, jobs: dict[State, str]) -> None:
    end = time.monotonic() + 60
    while (answer := ann.get("/groups/g/study")).status_code == 202 and time.monotonic() < end:
        time.sleep(0.1)
    assert is_problem(answer, 409, "conflict")
    problem = answer.json()
    assert problem["detail"].startswith("g: a comparison needs")
    assert problem["fix"].endswith("see `vqa jobs`")
