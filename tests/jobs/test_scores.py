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
from vqa.commands.jobs import scores_text
from vqa.jobs import queue as queues
from vqa.jobs.home import Home
from vqa.jobs.local_service import LocalService
from vqa.jobs.queue import Queue
from vqa.jobs.record import Filter, State, Submission
from vqa.jobs.views import ScoreView
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
    for user, group, score, split in JOBS:
        result = {"status": "succeeded", "overall": score, "protocol": "exact/1", "split": split}
        state = State.FAILED if score is None else State.SUCCEEDED
        put(home, user, json.dumps(result), group=group, state=state)
    return home


def put(
    home: Home, user: str, result: str, *, group: str = "hw", state: State = State.SUCCEEDED
) -> str:
    """A job that has ended with this `result.json`; gives its id."""
    queue = Queue(home.queue_file)
    fields: dict[str, Any] = {"data": {"store": str(home.stores / "scenes")}}
    job, _ = queue.submit(Submission(fields, user, user, group=group))
    claimed = queue.claim(job)
    assert claimed is not None
    home.run_dir(job.id).mkdir(parents=True)
    (home.run_dir(job.id) / "result.json").write_text(result)
    queue.move(claimed, state)
    return job.id


@pytest.fixture
def reader(scored: Home) -> TestClient:
    """A client that may read."""
    headers = {"Authorization": f"Bearer {add(scored, 'guest', 'read')}"}
    app = create_app(scored, Hosts.of(8000), warm=False)
    return TestClient(app, base_url=ADDRESS, headers=headers)


def told(found: list[dict[str, Any]]) -> list[tuple[str, float, str, int]]:
    return sorted(
        ((one["user"], float(one["score"]), one["split"], int(one["jobs"])) for one in found),
        key=lambda one: -one[1],
    )


def test_of_each_user_the_best_of_each_kind(scored: Home) -> None:
    found = LocalService(scored, "root").scores(Filter(group="hw"))
    assert told([one.model_dump() for one in found]) == WANTED
    assert [one.split for one in found] == ["test", "test", "train"]  # kinds stand apart
    assert [one.user for one in found[:2]] == ["ben", "ann"]
    everywhere = LocalService(scored, "root").scores(Filter(user="cleo"))
    assert [(one.group, one.score) for one in everywhere] == [("other", 90.0)]


@pytest.mark.parametrize(
    "nonsense", ["NaN", "Infinity", "true", '"70"', "-1", "1" + 400 * "0", "[" * 100_000]
)
def test_nonsense_in_the_place_of_a_score_hides_no_other_job(
    reader: TestClient, scored: Home, nonsense: str
) -> None:
    """Every list of jobs failed with it."""
    wrong = put(scored, "zoe", f'{{"overall": {nonsense}}}')
    page = reader.get("/api/v1/jobs?group=hw").json()
    assert [one["overall"] for one in page["jobs"] if one["id"] == wrong] == [None]
    assert told(reader.get("/api/v1/scores?group=hw").json()) == WANTED
    for path in ("/jobs", "/jobs/best", "/ask"):
        assert reader.get(path, headers={"Accept": "text/html"}).status_code == 200


def test_of_equal_scores_the_first_counts_over_all_pages_of_jobs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queues, "PAGE", 2)
    home = Home(tmp_path).make()
    first, *_ = [put(home, "ann", '{"overall": 50}') for _ in range(5)]
    (found,) = LocalService(home, "root").scores(Filter())
    assert (found.job, found.jobs) == (first, 5)


def test_a_store_that_was_made_anew_stands_apart(reader: TestClient, scored: Home) -> None:
    """Its name is the same, its questions are not."""
    for user, data, score in (("ann", "old", 90), ("ann", "new", 40), ("ben", "new", 50)):
        result = {"overall": score, "data_fingerprint": data * 20}
        put(scored, user, json.dumps(result), group="again")
    found = reader.get("/api/v1/scores?group=again").json()
    assert [(one["user"], one["score"], one["data_fingerprint"][:3]) for one in found] == [
        ("ben", 50, "new"),
        ("ann", 40, "new"),
        ("ann", 90, "old"),
    ]
    text = reader.get("/jobs/best?group=again", headers={"Accept": "text/html"}).text
    assert [text.count(f">{data * 4}</code>") for data in ("old", "new")] == [1, 2]


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
    assert main(["jobs", "--prune", "--csv", str(file)]) == 2
    with pytest.raises(SystemExit, match="2"):  # not: all but the best
        main(["jobs", "--best", "--prune", "runs", "--user", "ann"])
    assert main(["jobs", "--best", "--state", "failed"]) == 2


def test_of_a_store_far_down_the_name_is_shown() -> None:
    about: dict[str, Any] = {"user": "ann", "protocol": "exact/1", "split": "test", "group": None}
    about |= {"job": "0", "name": "a", "ended": None, "jobs": 1, "data_fingerprint": "", "score": 1}
    shown = scores_text([ScoreView(store=f"/home/{'folder/' * 9}scenes", **about)])
    assert "folder/scenes " in shown
    assert "/home/" not in shown
