"""The best score of each user: from the queue, over HTTP, on the page and as a command."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from vqa.cli import main
from vqa.jobs.home import Home
from vqa.jobs.local_service import LocalService
from vqa.jobs.queue import Filter
from vqa.jobs.record import State, Submission
from vqa.server.app import create_app
from vqa.server.guard import Hosts
from vqa.server.tokens import add

JOBS = (
    ("ann", "hw", 50.0, "test"),
    ("ann", "hw", 70.0, "test"),
    ("ann", "hw", 99.0, "train"),
    ("ben", "hw", 80.0, "test"),
    ("ben", "hw", 60.0, "test"),
    ("cleo", "hw", None, "test"),
    ("cleo", "other", 90.0, "test"),
    ("dan", "hw", float("nan"), "test"),
)
"""User, group, score (none: it failed) and split."""
WANTED = [("ann", 99.0, "train", 1), ("ben", 80.0, "test", 2), ("ann", 70.0, "test", 2)]
"""Of the group `hw`, in no order of kinds."""
ADDRESS = "http://127.0.0.1:8000"


@pytest.fixture
def scored(tmp_path: Path) -> Home:
    """A home with these jobs."""
    home = Home(tmp_path / "home").make()
    queue = LocalService(home, "root").queue
    for user, group, score, split in JOBS:
        fields: dict[str, Any] = {"data": {"store": str(home.stores / "scenes")}}
        job, _ = queue.submit(Submission(fields, user, f"{user}-{score}", group=group))
        claimed = queue.claim(job)
        assert claimed is not None
        home.run_dir(job.id).mkdir(parents=True)
        result = {"status": "succeeded", "overall": score, "protocol": "exact/1", "split": split}
        (home.run_dir(job.id) / "result.json").write_text(json.dumps(result))
        queue.move(claimed, State.FAILED if score is None else State.SUCCEEDED)
    return home


@pytest.fixture
def reader(scored: Home) -> TestClient:
    """A client that may read."""
    headers = {"Authorization": f"Bearer {add(scored, 'guest', 'read')}"}
    app = create_app(scored, Hosts.of(8000), warm=False)
    return TestClient(app, base_url=ADDRESS, headers=headers)


def told(scores: list[dict[str, Any]]) -> list[tuple[str, float, str, int]]:
    return sorted(
        ((one["user"], float(one["score"]), one["split"], int(one["jobs"])) for one in scores),
        key=lambda one: -one[1],
    )


def test_of_each_user_the_best_of_each_kind(scored: Home) -> None:
    found = LocalService(scored, "root").scores(Filter(group="hw"))
    assert told([one.model_dump() for one in found]) == WANTED
    assert [one.split for one in found] == ["test", "test", "train"]  # kinds stand apart
    assert [one.user for one in found[:2]] == ["ben", "ann"]
    everywhere = LocalService(scored, "root").scores(Filter(user="cleo"))
    assert [(one.group, one.score) for one in everywhere] == [("other", 90.0)]


def test_http_tells_the_same_in_both_forms_and_no_path(reader: TestClient, scored: Home) -> None:
    as_json = reader.get("/api/v1/scores?group=hw")
    as_csv = reader.get("/api/v1/scores?group=hw&form=csv")
    assert told(as_json.json()) == told(list(csv.DictReader(io.StringIO(as_csv.text)))) == WANTED
    assert as_csv.headers["content-type"].startswith("text/csv")
    assert {one["store"] for one in as_json.json()} == {"scenes"}
    for wrong in ("?form=html", "?group=a%20b", "?state=failed"):
        assert reader.get(f"/api/v1/scores{wrong}").status_code == 422


def test_the_page_shows_them_and_takes_them_along(reader: TestClient) -> None:
    text = reader.get("/jobs/best?group=hw", headers={"Accept": "text/html"}).text
    assert [text.count(f">{user}</th>") for user in ("ann", "ben", "cleo")] == [2, 1, 0]
    assert "80.00" in text
    assert "/api/v1/scores?form=csv&amp;group=hw" in text
    queue = reader.get("/jobs?group=hw&state=failed", headers={"Accept": "text/html"}).text
    assert 'href="/jobs/best?group=hw"' in queue
    none = reader.get("/jobs/best?user=nobody", headers={"Accept": "text/html"}).text
    assert "No job that has succeeded is like that" in none


def test_the_command_prints_and_writes_them(
    scored: Home,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("VQA_HOME", str(scored.path))
    monkeypatch.delenv("VQA_SERVER", raising=False)
    file = tmp_path / "marks.csv"

    def said(*words: str) -> str:
        assert main(["jobs", "--best", "--group", "hw", *words]) == 0
        return capsys.readouterr().out

    lines = said("--csv", str(file)).splitlines()
    assert [line.split()[0] for line in lines] == ["user", "ben", "ann", "ann"]
    assert told(list(csv.DictReader(io.StringIO(file.read_text())))) == WANTED
    assert told(json.loads(said("--json"))) == WANTED
    assert main(["jobs", "--csv", str(file)]) == 2
    assert main(["jobs", "--best", "--state", "failed"]) == 2
