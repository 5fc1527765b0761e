"""The routes, as a program uses them."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.server.conftest import API, Connect
from tests.server.test_access import is_problem
from vqa.errors import EngineError
from vqa.jobs.home import Home
from vqa.jobs.local_service import LocalService
from vqa.jobs.record import State
from vqa.jobs.views import JobDetail, JobPage, JobView
from vqa.server.app import create_app
from vqa.server.guard import Hosts

Body = Callable[..., dict[str, Any]]


def end(service: LocalService, job: str, state: State, result: dict[str, Any]) -> None:
    claimed = service.queue.claim(service.queue.get(job))
    assert claimed
    run_dir = service.home.run_dir(job)
    (run_dir / "predictions").mkdir(parents=True)
    (run_dir / "predictions" / "val.jsonl").write_text('{"question_id": "1"}\n' * 100)
    (run_dir / "result.json").write_text(json.dumps(result))
    service.queue.move(claimed, state)


def test_submit_list_show_cancel_resume(ann: TestClient, request_body: Body) -> None:
    response = ann.post("/jobs", json=request_body(group="g", priority=-5))
    assert response.status_code == 201
    job = JobView.model_validate_json(response.content)
    assert (job.user, job.group, job.priority, job.state) == ("ann", "g", -5, "queued")
    detail = JobDetail.model_validate_json(ann.get(f"/jobs/{job.id}").content)
    assert (detail.experiment["data"]["store"], detail.run_dir) == ("scenes", None)
    assert ann.get("/groups").json() == [{"name": "g", "counts": {"queued": 1}}]
    assert ann.post(f"/jobs/{job.id}/cancel").json()["state"] == "cancelled"
    assert ann.post(f"/jobs/{job.id}/resume").json()["state"] == "queued"
    assert is_problem(ann.post(f"/jobs/{job.id}/resume"), 409, "conflict")
    assert is_problem(ann.get("/jobs/00000000"), 404, "not-found")


def test_only_an_admin_may_give_a_priority_above_the_quota(
    home: Home, ann: TestClient, connect: Connect, request_body: Body
) -> None:
    refused = ann.post("/jobs", json=request_body(priority=1))
    assert is_problem(refused, 403, "forbidden")
    assert refused.json()["detail"].startswith("1 is above 0, the highest that a token")
    assert refused.json()["fix"] == "give 0 or less, or ask an admin"
    both = {"jobs": [request_body(1), request_body(2, priority=1000)]}
    assert is_problem(ann.post("/jobs/batch", json=both), 403, "forbidden")
    assert ann.get("/jobs").json()["jobs"] == []
    assert connect("root", "admin").post("/jobs", json=request_body(priority=1000)).is_success
    (home.path / "settings.yaml").write_text("quotas: {min_free_mb: 0, max_priority: 7}\n")
    client = TestClient(create_app(Home(home.path), Hosts.of(8000), warm=False), base_url=API)
    client.headers.update(ann.headers)
    assert client.post("/jobs", json=request_body(priority=7)).is_success
    assert is_problem(client.post("/jobs", json=request_body(priority=8)), 403, "forbidden")


def test_a_process_that_never_was_has_no_log(ann: TestClient, request_body: Body) -> None:
    job = ann.post("/jobs", json=request_body()).json()["id"]
    assert ann.get(f"/jobs/{job}/logs/rank0.log").json()["text"] == ""
    answer = ann.get(f"/jobs/{job}/logs/rank9.log")
    assert is_problem(answer, 404, "not-found")
    assert answer.json()["fix"] == "there are rank0.log, runner0.log, metrics, events"
    assert is_problem(ann.get(f"/jobs/{job}/logs/rank9.log/stream"), 404, "not-found")


def test_filters_and_pages(ann: TestClient, connect: Connect, request_body: Body) -> None:
    for seed in range(5):
        ann.post("/jobs", json=request_body(seed, group="g"))
    connect("ben").post("/jobs", json=request_body())
    seen, query = [], {"limit": 2, "user": "ann"}
    while True:
        page = JobPage.model_validate_json(ann.get("/jobs", params=query).content)
        assert page.counts == {"queued": 5}
        seen += [job.name for job in page.jobs]
        if page.next is None:
            break
        query = {**query, "before": page.next}
    assert seen == [f"multiply-none-{seed}" for seed in (4, 3, 2, 1, 0)]
    for wanted, count in (
        ({"group": "g"}, 5),
        ({"user": "ben"}, 1),
        ({"state": ["running", "queued"]}, 6),
        ({"state": "failed"}, 0),
        ({"engine": "ray"}, 0),
    ):
        assert len(ann.get("/jobs", params=wanted).json()["jobs"]) == count
    for wrong in ({"limit": 0}, {"limit": 1001}, {"before": -1}, {"state": "gone"}, {"what": 1}):
        assert is_problem(ann.get("/jobs", params=wrong), 422)


def test_a_fault_names_its_field_once_and_a_name_s_rule_in_words(
    ann: TestClient, request_body: Body
) -> None:
    rule = "should be letters a to z, digits, dots, dashes and underscores, and begin with a letter or digit"
    response = ann.post("/jobs", json=request_body(group="../x"))
    assert is_problem(response, 422, "invalid")
    problem = response.json()
    assert (problem["where"], problem["detail"]) == ("group", rule)
    problem = ann.post("/jobs", json=request_body(group="../x", cores=0)).json()
    several = f"{rule}; cores: input should be greater than or equal to 1"
    assert (problem["where"], problem["detail"]) == ("group", several)


def test_a_batch_is_queued_whole_or_not_at_all(ann: TestClient, request_body: Body) -> None:
    bad = request_body()
    bad["experiment"]["sead"] = 1
    response = ann.post("/jobs/batch", json={"jobs": [request_body(), bad]})
    assert is_problem(response, 422, "invalid")
    assert "sead: no such key; did you mean 'seed'" in response.json()["detail"]
    assert response.json()["where"] == "jobs.1.experiment"
    assert ann.get("/jobs").json()["counts"] == {}
    response = ann.post("/jobs/batch", json={"jobs": [request_body(k) for k in range(3)]})
    assert [job["name"] for job in response.json()] == [f"multiply-none-{k}" for k in range(3)]


def test_a_key_queues_once_whoever_asks_again(ann: TestClient, request_body: Body) -> None:
    def submit(seed: int) -> tuple[int, str]:
        response = ann.post("/jobs", json=request_body(seed, key=f"key {seed}"))
        return response.status_code, response.json()["id"]

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(submit, [k % 6 for k in range(48)]))
    assert {status for status, _ in answers} == {201}
    assert len({job for _, job in answers}) == 6
    assert ann.get("/jobs").json()["counts"] == {"queued": 6}
    assert is_problem(ann.post("/jobs", json=request_body(9, key="key 0")), 409, "conflict")


def test_results_and_predictions(
    ann: TestClient, service: LocalService, request_body: Body
) -> None:
    job = ann.post("/jobs", json=request_body()).json()["id"]
    assert is_problem(ann.get(f"/jobs/{job}/result"), 404)
    assert ann.get(f"/jobs/{job}/predictions").json() == []
    figures = {"status": "succeeded", "overall": 81.25, "worst": float("nan")}
    end(service, job, State.SUCCEEDED, figures)
    assert ann.get(f"/jobs/{job}/result").json() == {**figures, "worst": None}
    assert ann.get(f"/jobs/{job}").json()["job"]["overall"] == 81.25
    assert ann.get(f"/jobs/{job}/predictions").json() == ["val"]
    response = ann.get(f"/jobs/{job}/predictions/val")
    assert response.headers["content-type"].startswith("application/x-ndjson")
    assert response.headers["content-disposition"].startswith("attachment")
    assert [json.loads(line)["question_id"] for line in response.text.splitlines()] == ["1"] * 100
    part = ann.get(f"/jobs/{job}/predictions/val", headers={"Range": "bytes=0-20"})
    assert (part.status_code, part.text) == (206, '{"question_id": "1"}\n')


def test_stores_are_described(ann: TestClient) -> None:
    (store,) = ann.get("/stores").json()
    assert (store["name"], store["images"], store["text_only"]) == ("scenes", 60, False)
    assert "path" not in store


def test_quota_and_full_disk_have_statuses_of_their_own(
    home: Home, ann: TestClient, request_body: Body
) -> None:
    """Settings hold from when their file changes."""

    def change(quotas: str) -> None:
        file = home.path / "settings.yaml"
        file.write_text(f"quotas: {{{quotas}}}\n")
        os.utime(file, (1, 1))  # written long ago

    change("min_free_mb: 0, jobs_per_user: 1")
    ann.post("/jobs", json=request_body())
    assert is_problem(ann.post("/jobs", json=request_body(1)), 429, "quota")
    change(f"min_free_mb: {1 << 40}")
    assert is_problem(ann.post("/jobs", json=request_body(2)), 507, "disk-full")


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (sqlite3.OperationalError("database is locked"), 503),
        (sqlite3.OperationalError("database or disk is full"), 507),
        (OSError(28, "No space left on device"), 507),
        (EngineError("does not answer"), 503),
        (RuntimeError("the secret of the house"), 500),
        (OSError(5, "Input/output error", "/secret/path"), 500),
    ],
)
def test_failures_within(
    error: Exception, status: int, ann: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise error

    monkeypatch.setattr(LocalService, "groups", fail)
    response = ann.get("/groups")
    assert is_problem(response, status)
    assert response.headers["x-content-type-options"] == "nosniff"
    assert "secret" not in response.text


def test_wrong_methods_are_told_the_right_ones(ann: TestClient) -> None:
    for path, allowed in (("/jobs", "GET, POST"), ("/jobs/batch", "POST"), ("/me", "GET")):
        response = ann.delete(path)
        assert is_problem(response, 405)
        assert response.headers["allow"] == allowed
    assert ann.post("/openapi.json").headers["allow"]
