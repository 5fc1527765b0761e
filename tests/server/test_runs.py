"""What programs ask of a run: curves, predictions, pictures, attention, words."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from tests.server.conftest import ADDRESS, API
from tests.server.pages.people import trained_job
from tests.server.test_access import is_problem
from vqa.evaluation.predictions import Prediction, read_predictions, write_predictions
from vqa.export import load
from vqa.jobs.home import Home
from vqa.jobs.local_service import LocalService
from vqa.jobs.parcel import unpack
from vqa.jobs.views import SubmitRequest
from vqa.server import tokens
from vqa.server.app import create_app
from vqa.server.guard import Hosts

HOSTILE = '<script>alert("x")</script> & \u202eend'


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, scenes_store: Path) -> tuple[Home, str]:
    """A home with one finished job; for reading alone."""
    home = Home(tmp_path_factory.mktemp("one") / "home").make()
    (home.path / "settings.yaml").write_text("quotas: {min_free_mb: 0}\n")
    shutil.copytree(scenes_store, home.stores / "scenes")
    return home, trained_job(LocalService(home, "ann"), "multiply", 0)


@pytest.fixture(scope="module")
def client(trained: tuple[Home, str]) -> TestClient:
    home, _ = trained
    headers = {"Authorization": f"Bearer {tokens.add(home, 'reader', 'read')}"}
    app = create_app(home, Hosts.of(8000), warm=False)
    return TestClient(app, base_url=API, headers=headers, raise_server_exceptions=False)


@pytest.fixture
def said(trained: tuple[Home, str]) -> list[Prediction]:
    home, job = trained
    return read_predictions(home.run_dir(job) / "predictions" / "test.jsonl")


def test_curves(client: TestClient, trained: tuple[Home, str]) -> None:
    found = client.get(f"/jobs/{trained[1]}/curves").json()
    lines = (trained[0].run_dir(trained[1]) / "metrics.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    losses = [r["train/loss"] for r in records if "train/loss" in r]
    assert found["records"] == len(records)
    assert found["curves"]["train/loss"]["means"] == losses
    some = client.get(f"/jobs/{trained[1]}/curves", params={"name": "val/accuracy"}).json()
    assert list(some["curves"]) == ["val/accuracy"]


def test_predictions_by_page_and_filter(
    client: TestClient, trained: tuple[Home, str], said: list[Prediction]
) -> None:
    address = f"/jobs/{trained[1]}/predictions/test/items"
    page = client.get(address, params={"limit": 5, "start": 3}).json()
    assert [item["question_id"] for item in page["items"]] == [p.question_id for p in said[3:8]]
    assert (page["total"], page["in_all"], page["skipped"]) == (len(said), len(said), 0)
    wrong = client.get(address, params={"verdict": "wrong", "limit": 200}).json()["items"]
    assert [one["question_id"] for one in wrong] == [p.question_id for p in said if p.score == 0]
    one = client.get(address.replace("items", "item"), params={"question": said[4].question_id})
    assert one.json() == {**said[4].to_json(), "verdict": one.json()["verdict"]}
    for wrong_query in ({"verdict": "odd"}, {"limit": 0}, {"start": -1}, {"what": 1}):
        assert is_problem(client.get(address, params=wrong_query), 422)
    assert is_problem(client.get(address.replace("test", "val")), 404, "not-found")


def test_picture_and_attention_are_pngs(
    client: TestClient, trained: tuple[Home, str], said: list[Prediction]
) -> None:
    base, query = f"/jobs/{trained[1]}/predictions/test", {"question": said[0].question_id}
    small = client.get(f"{base}/picture", params={**query, "side": 100})
    assert small.headers["content-type"] == "image/png"
    assert max(Image.open(io.BytesIO(small.content)).size) == 100
    first, second = (
        client.get(f"{base}/attention", params={**query, "glimpse": k}) for k in (1, 2)
    )
    assert first.status_code == second.status_code == 200
    assert first.content != second.content
    assert is_problem(client.get(f"{base}/attention", params={**query, "glimpse": 3}), 404)
    assert is_problem(client.get(f"{base}/picture", params={"question": "none"}), 404)


def test_words_are_those_of_the_model(
    client: TestClient, trained: tuple[Home, str], said: list[Prediction]
) -> None:
    address = f"/jobs/{trained[1]}/predictions/test/words"
    found = client.get(address, params={"question": said[0].question_id}).json()
    model = load(trained[0].run_dir(trained[1]))
    assert found["words"] == model.tokenizer.tokens(said[0].question)
    states = np.array(found["states"])
    assert states.shape == (len(found["words"]), 8)
    assert np.abs(states).max() <= 1
    assert set(found["gates"]) == {"input", "forget", "output"}
    assert sorted(found["ranked"]) == list(range(8))
    wrong = {"question": said[0].question_id, "layer": 1}
    assert is_problem(client.get(address, params=wrong), 404)


def test_a_model_as_a_tar(
    client: TestClient, trained: tuple[Home, str], tmp_path: Path, request_body: Any
) -> None:
    home, job = trained
    answer = client.get(f"/jobs/{job}/model")
    assert answer.headers["content-type"] == "application/x-tar"
    assert answer.headers["content-disposition"] == f'attachment; filename="{job}.tar"'
    assert int(answer.headers["content-length"]) == len(answer.content)
    (tmp_path / "model.tar").write_bytes(answer.content)
    unpack(tmp_path / "model.tar", tmp_path / "model")
    model = load(tmp_path / "model")
    assert str(model.experiment.data.store) == "scenes"
    assert str(home.path).encode() not in answer.content
    waiting = LocalService(home, "ann").submit(SubmitRequest(**request_body())).id
    refused = client.get(f"/jobs/{waiting}/model")
    assert is_problem(refused, 404, "not-found")
    assert refused.json()["fix"] == "a run exports it when it has succeeded"
    page = client.get(f"{ADDRESS}/jobs/{job}", headers={"Accept": "text/html"}).text
    assert f'<a href="/api/v1/jobs/{job}/model">' in page
    assert "/model" not in client.get(f"{ADDRESS}/jobs/{waiting}/head").text


def test_a_log_whole(client: TestClient, trained: tuple[Home, str]) -> None:
    folder = trained[0].run_dir(trained[1]) / "logs"
    folder.mkdir(exist_ok=True)
    (folder / "rank0.log").write_text("one\ntwo\n")
    answer = client.get(f"/jobs/{trained[1]}/logs/rank0.log/file")
    assert (answer.text, answer.headers["content-type"]) == (
        "one\ntwo\n",
        "text/plain; charset=utf-8",
    )
    missing = client.get(f"/jobs/{trained[1]}/logs/metrics/file")
    assert is_problem(missing, 404)
    assert missing.json()["fix"] == "there are rank0.log"
    assert is_problem(client.get("/jobs/none/logs/rank0.log/file"), 404)


def test_a_model_that_sees_no_picture(
    ann: TestClient, service: LocalService, request_body: Callable[..., dict[str, Any]]
) -> None:
    for encoder, sees in (("none", False), ("small", True)):
        body = request_body()
        body["experiment"]["model"]["image_encoder"] = encoder
        job = ann.post("/jobs", json=body).json()["id"]
        folder = service.home.run_dir(job) / "predictions"
        folder.mkdir(parents=True)
        write_predictions(folder / "val.jsonl", [Prediction("1", "2", question="What?")])
        page = ann.get(f"http://127.0.0.1:8000/jobs/{job}/prediction?question=1").text
        assert ("This model does not see the picture." not in page) == sees


def test_what_is_not_there_says_why_and_shows_no_path(
    ann: TestClient, home: Home, service: LocalService, request_body: Callable[..., dict[str, Any]]
) -> None:
    """A run without a model, whose store has gone, and whose predictions hold anything."""
    job = ann.post("/jobs", json=request_body()).json()["id"]
    assert ann.get(f"/jobs/{job}/curves").json()["curves"] == {}
    base = f"/jobs/{job}/predictions/val"
    assert is_problem(ann.get(f"{base}/items"), 404)
    folder = service.home.run_dir(job) / "predictions"
    folder.mkdir(parents=True)
    write_predictions(
        folder / "val.jsonl", [Prediction(HOSTILE, "../../etc/passwd", question=HOSTILE)]
    )
    query = {"question": HOSTILE}
    assert ann.get(f"{base}/item", params=query).json()["question"] == HOSTILE
    no_picture = ann.get(f"{base}/picture", params=query)
    assert is_problem(no_picture, 404)
    assert "no picture" in no_picture.json()["detail"]
    no_model = ann.get(f"{base}/words", params=query)
    assert is_problem(no_model, 404)
    assert "no exported model" in no_model.json()["detail"]
    result = service.home.run_dir(job) / "result.json"
    result.write_text(json.dumps({"status": "succeeded", "data_fingerprint": "another"}))
    assert "prepared anew" in ann.get(f"{base}/picture", params=query).json()["detail"]
    manifest = home.stores / "scenes" / "store.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "text_only": True}))
    assert "from text alone" in ann.get(f"{base}/picture", params=query).json()["detail"]
    shutil.rmtree(home.stores / "scenes")
    gone = ann.get(f"{base}/picture", params=query)
    assert is_problem(gone, 404)
    assert "no prepared store" in gone.json()["detail"]
    assert all(str(home.path) not in answer.text for answer in (no_picture, no_model, gone))
