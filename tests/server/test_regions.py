"""Runs that read regions, on a server: submitted, asked about pictures of a store, refused for any other picture."""

from __future__ import annotations

import base64
import io
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from starlette.testclient import TestClient

from tests.data.regions.made import DIM, detect_all, write_tsv
from tests.server.test_access import is_problem
from vqa.cli import main
from vqa.config import parse_experiment
from vqa.data.store import Store
from vqa.jobs.home import Home
from vqa.jobs.local_service import LocalService
from vqa.jobs.record import State
from vqa.training.run import train

MODEL = {"image_encoder": {"name": "regions", "count": 4, "dim": DIM}, "attention": "soft"}


@pytest.fixture
def body(request_body: Any) -> dict[str, Any]:
    made: dict[str, Any] = request_body()
    made["experiment"]["model"] |= MODEL
    return made


@pytest.fixture
def regions(home: Home, tmp_path: Path) -> Path:
    """Regions in the home's store; the file that they came from."""
    path = home.stores / "scenes"
    ids = Store.open(path).images.data.column("image_id").to_pylist()
    file = write_tsv(tmp_path / "found.tsv", detect_all(ids))
    words = ["prepare", "regions", str(path), str(file), "--count", "4", "--dim", str(DIM)]
    assert main(words) == 0
    return file


@pytest.fixture
def job(body: dict[str, Any], ann: TestClient, service: LocalService, regions: Path) -> str:
    """A run over the store's regions that has succeeded."""
    posted = ann.post("/jobs", json=body)
    assert posted.status_code == 201, posted.text
    name = str(posted.json()["id"])
    queued = service.queue.claim(service.queue.get(name))
    assert queued is not None
    service.queue.move(queued, State.RUNNING)
    train(parse_experiment(queued.submission.experiment), service.home.run_dir(name))
    assert service.queue.move(queued, State.SUCCEEDED) is not None
    return name


def test_a_store_without_regions_refuses_the_submission(
    body: dict[str, Any], ann: TestClient, home: Home, service: LocalService
) -> None:
    said = ann.post("/jobs", json=body)
    is_problem(said, said.status_code)
    assert 400 <= said.status_code < 500
    assert "no regions 'bottom-up' of 4×5; there are none" in said.text
    assert "vqa prepare regions scenes FILE… --count 4 --dim 5" in said.text
    assert str(home.path) not in said.text
    assert service.queue.find() == []


def test_a_picture_that_comes_along_is_refused(job: str, ann: TestClient) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (40, 40), "red").save(buffer, "PNG")
    image = base64.b64encode(buffer.getvalue()).decode()
    asked = {"job": job, "question": "what colour?", "choices": ["red", "blue"], "image": image}
    said = ann.post("/ask", json=asked)
    is_problem(said, said.status_code)
    assert 400 <= said.status_code < 500
    assert "reads regions that a detector found, and no detector is part of this" in said.text


def test_pictures_of_a_store_have_theirs(job: str, ann: TestClient, home: Home) -> None:
    asked = {"job": job, "question": "what colour?", "choices": ["red", "blue"]}
    asked |= {"store": "scenes", "image_id": "test-000003"}
    said = ann.post("/ask", json=asked).json()
    assert said["answer"] in ("red", "blue")
    [glimpse] = said["attention"]
    assert len(glimpse["weights"]) == 48
    found = ann.get(f"/jobs/{job}/predictions/test/items").json()["items"][0]
    address = f"/jobs/{job}/predictions/test/attention"
    shown = ann.get(address, params={"question": found["question_id"]})
    assert shown.headers["content-type"] == "image/png"
    shutil.rmtree(home.stores / "scenes" / "cache")
    gone = ann.post("/ask", json=asked)
    is_problem(gone, 404)
    assert "no regions 'bottom-up'" in gone.text
    assert str(home.path) not in gone.text
