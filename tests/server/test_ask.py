"""Questions put to finished runs over HTTP."""

from __future__ import annotations

import base64
import io
import shutil
import struct
import threading
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

import vqa
from tests.server.pages.people import trained_job
from tests.server.test_access import is_problem
from vqa.data.store import Store
from vqa.errors import EngineError
from vqa.jobs.home import Home
from vqa.jobs.local_service import LocalService
from vqa.jobs.questions import Question
from vqa.jobs.remote import RemoteService
from vqa.server import tokens
from vqa.server.api import ask as route
from vqa.server.app import create_app
from vqa.server.guard import Guard, Hosts

Made = tuple[Home, str]
PREFIX = "data:image/png;base64,"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, scenes_store: Path) -> Made:
    """A home with a trained run that has two glimpses."""
    home = Home(tmp_path_factory.mktemp("asked") / "home").make()
    (home.path / "settings.yaml").write_text("quotas: {min_free_mb: 0}\n")
    shutil.copytree(scenes_store, home.stores / "scenes")
    return home, trained_job(LocalService(home, "ann"), "multiply", 0)


@pytest.fixture(scope="module")
def token(made: Made) -> str:
    return tokens.add(made[0], "eve", "read")


@pytest.fixture
def guarded(made: Made) -> Guard:
    return create_app(made[0], Hosts.of(8000), warm=False)


@pytest.fixture
def client(token: str, guarded: Guard) -> TestClient:
    """Somebody who may only look."""
    headers = {"Authorization": f"Bearer {token}"}
    return TestClient(guarded, base_url="http://127.0.0.1:8000/api/v1", headers=headers)


def png(size: tuple[int, int] = (60, 40)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, "red").save(buffer, "PNG")
    return buffer.getvalue()


def body(job: str, image: bytes | None = None, **fields: Any) -> dict[str, Any]:
    sent = png() if image is None else image
    return {
        "job": job,
        "question": "what colour is the zyxw?",
        "image": base64.b64encode(sent).decode(),
        **fields,
    }


def test_it_says_what_the_model_says(client: TestClient, made: Made) -> None:
    home, job = made
    reply = client.post("/ask", json=body(job))
    assert reply.status_code == 200, reply.text
    said = reply.json()
    expected = vqa.load(home.run_dir(job)).ask(png(), "what colour is the zyxw?")
    assert said["answer"] == expected.answer
    assert [guess["answer"] for guess in said["top"]] == [text for text, _ in expected.top]
    assert said["confidence"] == pytest.approx(expected.confidence)
    assert [word["text"] for word in said["words"] if not word["known"]] == ["zyxw"]
    assert expected.attention is not None
    weights = np.array([glimpse["weights"] for glimpse in said["attention"]])
    assert weights.shape == expected.attention.shape
    assert np.allclose(weights, expected.attention, atol=1e-5)
    for address in (said["seen"], *(glimpse["overlay"] for glimpse in said["attention"])):
        picture = Image.open(io.BytesIO(base64.b64decode(address.removeprefix(PREFIX))))
        assert picture.size == (384, 256)
    plain = client.post("/ask", json=body(job, pictures=False)).json()
    assert plain["seen"] is plain["attention"][0]["overlay"] is None
    assert plain["top"] == said["top"]


def test_a_store_s_picture_is_the_same_as_its_file(client: TestClient, made: Made) -> None:
    home, job = made
    store = Store.open(home.stores / "scenes")
    example = store.example(0)
    fields = {"question": example.question, "choices": example.choices}
    data = store.image_bytes(int(store.image_rows[0]))
    uploaded = client.post("/ask", json=body(job, data, **fields)).json()
    named = {"job": job, "store": "scenes", "image_id": example.image_id, **fields}
    assert client.post("/ask", json=named).json() == uploaded


def test_choices_that_the_model_cannot_say(client: TestClient, made: Made) -> None:
    home, job = made
    known = vqa.load(home.run_dir(job)).vocabulary.answers[0]
    some = client.post("/ask", json=body(job, choices=[known, "<b>xyzzy</b>"])).json()
    assert (some["answer"], some["unsayable"]) == (known, ["<b>xyzzy</b>"])
    none = client.post("/ask", json=body(job, choices=["xyzzy", "plugh"])).json()
    assert (none["answer"], none["top"]) == (None, [])
    assert known in none["known"]


def bomb() -> bytes:
    """A PNG of a few bytes that declares 60,000×60,000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        checked = kind + data
        return struct.pack(">I", len(data)) + checked + struct.pack(">I", zlib.crc32(checked))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 1000))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (bomb(), "60,000×60,000"),
        (png((300, 300))[:200], "truncated"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a PNG"),
        (b"PK\x03\x04zip", "not a PNG"),
        (b"", "empty image"),
    ],
    ids=["bomb", "cut", "svg", "zip", "nothing"],
)
def test_pictures_of_people_who_mean_harm(
    client: TestClient, made: Made, data: bytes, said: str
) -> None:
    answer = client.post("/ask", json=body(made[1], data))
    assert is_problem(answer, 422, "invalid")
    assert said in answer.json()["detail"]
    assert answer.json()["where"] == "image"


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"image": "no base64!"}, "image"),
        ({"image": None}, "body"),
        ({"store": "scenes", "image_id": "train-000000"}, "body"),
        ({"image": None, "store": "scenes"}, "body"),
        ({"question": ""}, "question"),
        ({"question": "   "}, "question"),
        ({"question": "x" * 4001}, "question"),
        ({"choices": ["a", "a"]}, "choices"),
        ({"choices": [""]}, "choices.0"),
        ({"choices": ["a"] * 101}, "choices"),
        ({"path": "/etc/passwd"}, "path"),
    ],
)
def test_questions_that_are_none(
    client: TestClient, made: Made, fields: dict[str, Any], where: str
) -> None:
    answer = client.post("/ask", json=body(made[1]) | fields)
    assert is_problem(answer, 422, "invalid")
    assert answer.json()["where"] == where


def test_what_is_not_there(client: TestClient, made: Made) -> None:
    named = {"job": made[1], "question": "what?", "image_id": "nobody"}
    assert is_problem(client.post("/ask", json=body("nothing")), 404, "not-found")
    assert is_problem(client.post("/ask", json=body("../../etc")), 422)
    assert is_problem(client.post("/ask", json={**named, "store": "nowhere"}), 404)
    assert is_problem(client.post("/ask", json={**named, "store": "scenes"}), 404)


def test_a_run_without_a_model_is_refused_with_the_reason(
    ann: TestClient, home: Home, request_body: Callable[..., dict[str, Any]]
) -> None:
    job = ann.post("/jobs", json=request_body()).json()["id"]
    answer = ann.post("/ask", json=body(job))
    assert is_problem(answer, 409, "conflict")
    assert "is queued" in answer.json()["detail"]
    ann.post(f"/jobs/{job}/cancel")
    ended = ann.post("/ask", json=body(job))
    assert is_problem(ended, 409, "conflict")
    assert "no exported model" in ended.json()["detail"]
    assert str(home.path) not in ended.text


def test_one_is_answered_at_a_time(
    client: TestClient, guarded: Guard, made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(route, "PATIENCE_SECONDS", 0.05)
    with guarded.app.state.opened.asking:  # type: ignore[attr-defined]
        answer = client.post("/ask", json=body(made[1]))
    assert is_problem(answer, 503)
    assert client.post("/ask", json=body(made[1])).status_code == 200


def test_questions_that_wait_hold_up_nobody_else(
    guarded: Guard, token: str, made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More of them than there are threads for all other requests."""
    go_on, begun = threading.Event(), threading.Semaphore(0)

    @contextmanager
    def waits(_: object) -> Iterator[None]:
        begun.release()
        assert go_on.wait(120)
        raise EngineError("enough", temporary=True)
        yield

    monkeypatch.setattr(route, "_turn", waits)
    headers = {"Authorization": f"Bearer {token}"}
    with (
        TestClient(guarded, base_url="http://127.0.0.1:8000/api/v1", headers=headers) as client,
        ThreadPoolExecutor(61) as pool,
    ):
        asking = [pool.submit(client.post, "/ask", json=body(made[1])) for _ in range(60)]
        try:
            assert all(begun.acquire(timeout=60) for _ in range(route.MOST_ASKED))
            assert pool.submit(client.get, "/jobs").result(timeout=60).status_code == 200
            assert not begun.acquire(blocking=False)
        finally:
            go_on.set()
        assert {one.result().status_code for one in asking} == {503}


def test_many_at_once_all_get_the_same(client: TestClient, made: Made) -> None:
    said: list[Any] = []
    threads = [
        threading.Thread(
            target=lambda: said.append(client.post("/ask", json=body(made[1])).json()["top"])
        )
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(said) == 6
    assert all(one == said[0] for one in said)


def test_a_large_picture_comes_through(client: TestClient, made: Made) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (1500, 1500, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, "PNG")
    assert buffer.tell() > 6_000_000
    assert client.post("/ask", json=body(made[1], buffer.getvalue())).status_code == 200


def test_the_command_asks_the_server(
    client: TestClient,
    token: str,
    made: Made,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from vqa.cli import main

    def forward(request: httpx.Request) -> httpx.Response:
        answer = client.post("/ask", content=request.content, headers=request.headers)
        return httpx.Response(answer.status_code, content=answer.content)

    address = "http://127.0.0.1:8000"
    service = RemoteService(address, token, transport=httpx.MockTransport(forward))
    monkeypatch.setenv("VQA_SERVER", address)
    monkeypatch.setattr("vqa.jobs.connect.connect", lambda: service)
    (tmp_path / "red.png").write_bytes(png())
    words = ["ask", made[1], str(tmp_path / "red.png"), "what colour is the zyxw?"]
    here = vqa.load(made[0].run_dir(made[1])).ask(png(), words[3])
    assert main([*words, "--attention", str(tmp_path / "a.png")]) == 0
    assert capsys.readouterr().out.splitlines()[0] == here.answer
    with Image.open(tmp_path / "a.png") as drawn:
        assert drawn.size[0] > 600
    assert main([*words, "--choice", "xyzzy", "--choice", "plugh"]) == 2
    assert "can say none of the choices" in capsys.readouterr().err
    assert main([*words[:3], ""]) == 2
    assert main([*words, "--choice", "x" * 1001, "--choice", "\ud83d"]) == 2
    told = capsys.readouterr().err
    assert "vqa ask: question: " in told
    assert "vqa ask: choices.0: " in told
    assert "; choices.1: " in told
    asked = Question(job=made[1], question="what?", image=base64.b64encode(png()).decode())
    assert service.ask(asked).answer is not None
