"""Uploads of people who mean harm."""

from __future__ import annotations

import json
import threading
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anyio
import pytest
from starlette.testclient import TestClient

from tests.server.conftest import API, Connect
from tests.server.sending import BYTES, Sent, put, sha256
from tests.server.test_access import is_problem
from tests.server.test_hostile import MALFORMED, TRAVERSAL, raw
from tests.server.test_stores import png
from vqa.data.image import DEFAULT_LIMITS
from vqa.jobs.home import Home
from vqa.jobs.uploads import service
from vqa.server import guard
from vqa.server.api.uploads import MOST_DECODED
from vqa.server.guard import Guard, Hosts
from vqa.server.tokens import Tokens

JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize("name", TRAVERSAL)
def test_a_name_is_a_name(name: str, ann: TestClient, app: Guard, home: Home, sent: Sent) -> None:
    ann.put("/uploads/mine", json=sent.request)
    home.quotas_lock.touch()
    token, before = ann.headers["Authorization"], sorted(home.path.rglob("*"))
    for method, path in (
        ("PUT", f"/uploads/{name}"),
        ("POST", f"/uploads/{name}/finish"),
        ("PUT", f"/uploads/mine/pictures/{name}"),
        ("DELETE", f"/uploads/{name}"),
        ("DELETE", f"/stores/{name}"),
    ):
        status, text = raw(app, token, method, f"/api/v1{path}")
        assert status in (404, 405, 422), path
        assert json.loads(text)["status"] == status
    assert sorted(home.path.rglob("*")) == before


REQUESTS: dict[str, dict[str, Any]] = {
    "no fingerprint": {"fingerprint": "x"},
    "an upper-case one": {"fingerprint": "A" * 64},
    "a path as source": {"source": "../x"},
    "control characters": {"source": "a\x1b[31m"},
    "a text as number": {"questions": "2"},
    "a fraction": {"questions": 2.5},
    "a truth as number": {"images": True},
    "below nought": {"bytes": -1},
    "more than can be counted": {"bytes": 1 << 60},
    "no question": {"questions": 0},
    "a number as truth": {"text_only": 1},
    "a path": {"path": "/etc/passwd"},
}


@pytest.mark.parametrize("fault", REQUESTS)
def test_what_an_upload_is_begun_with(fault: str, ann: TestClient, home: Home, sent: Sent) -> None:
    refused = ann.put("/uploads/mine", json=sent.request | REQUESTS[fault])
    assert is_problem(refused, 422, "invalid")
    assert not (home.path / "uploads").exists()


def example(**changes: Any) -> Callable[[dict[str, Any]], None]:
    def change(piece: dict[str, Any]) -> None:
        piece["examples"][1] = piece["examples"][1] | changes

    return change


PIECES: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "a foreign image": (example(image_id="elsewhere"), "record 2"),
    "a path as image": (example(image_id="../../etc/passwd"), "record 2"),
    "no question": (example(question=" "), "record 2"),
    "blanks around": (example(question=" what? "), "record 2"),
    "a control character": (example(question="what\x00?"), "record 2"),
    "equal choices": (example(choices=["a", "a"], label=0), "record 2"),
    "a label beyond": (example(label=99), "record 2"),
    "a huge label": (example(label=1 << 62), "examples.1.label"),
    "a text as label": (example(label="1"), "examples.1.label"),
    "a truth as label": (example(label=True), "examples.1.label"),
    "a number as question": (example(question=3), "examples.1.question"),
    "a number among answers": (example(answers=[1]), "examples.1.answers.0"),
    "null": (example(question=None), "examples.1.question"),
    "a split that is a path": (example(split="../val"), "record 2"),
    "a long text": (example(question="a" * 5000), "record 2"),
    "a field too many": (example(image="/etc/passwd"), "examples.1.image"),
    "a gap": (lambda piece: piece.update(first=1), "first"),
    "a start below nought": (lambda piece: piece.update(first=-1), "first"),
    "none": (lambda piece: piece.update(examples=[]), "examples"),
    "too many": (lambda piece: piece.update(examples=piece["examples"] * 1000), "examples"),
    "more than told": (lambda piece: piece["examples"].append(piece["examples"][0]), "first"),
    "a picture of none": (lambda piece: piece["pictures"].update(x="0" * 64), "pictures"),
    "no hash": (lambda piece: piece["pictures"].update(x="../x"), "pictures.x"),
}


@pytest.mark.parametrize("fault", PIECES)
def test_examples_that_cannot_be_used(fault: str, ann: TestClient, home: Home, sent: Sent) -> None:
    ann.put("/uploads/mine", json=sent.request)
    piece = json.loads(json.dumps(sent.piece()))
    change, where = PIECES[fault]
    change(piece)
    refused = ann.post("/uploads/mine/examples", json=piece)
    assert is_problem(refused, refused.status_code)
    assert refused.status_code in (409, 422)
    assert refused.json()["where"] == where, refused.json()
    assert ann.get("/uploads/mine").json()["questions"] == 0
    assert not list((home.path / "uploads").rglob("*.jsonl"))


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_bodies(name: str, ann: TestClient, sent: Sent) -> None:
    ann.put("/uploads/mine", json=sent.request)
    for method, path in (("PUT", "mine"), ("POST", "mine/examples"), ("POST", "mine/missing")):
        content = MALFORMED[name]
        refused = ann.request(method, f"/uploads/{path}", content=content, headers=JSON)
        assert is_problem(refused, refused.status_code)
        assert refused.status_code in (400, 422)


def huge(side: int) -> bytes:
    """A PNG whose header declares a picture of that many pixels a side."""
    data = bytearray(png())
    data[16:24] = side.to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (huge(60_000), "60,000×60,000 pixels"),
        (b"\x80\x04\x95.", "not a PNG"),
        (b"PK\x03\x04", "not a PNG"),
        (png()[:-30], "truncated or damaged"),
        (b"<svg/>", "not a PNG"),
    ],
    ids=["huge", "pickle", "zip", "cut", "svg"],
)
def test_pictures_that_cannot_be_used(
    data: bytes, said: str, ann: TestClient, home: Home, sent: Sent
) -> None:
    ann.put("/uploads/mine", json=sent.request)
    refused = put(ann, sha256(data), data)
    assert is_problem(refused, 422, "invalid")
    assert said in refused.json()["detail"]
    wrong = put(ann, "0" * 64, png())
    assert is_problem(wrong, 422, "invalid")
    assert "other bytes" in wrong.json()["detail"]
    assert ann.get("/uploads/mine").json()["pictures"] == 0
    assert not list((home.path / "uploads").rglob("pictures/*/*"))


def test_how_a_picture_is_sent(
    ann: TestClient, sent: Sent, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann.put("/uploads/mine", json=sent.request)
    path, data = f"/uploads/mine/pictures/{sha256(png())}", png()
    for kind in ("application/json", "image/png", "multipart/form-data", ""):
        assert is_problem(ann.put(path, content=data, headers={"Content-Type": kind}), 415)
    assert is_problem(ann.put(path, headers=BYTES), 422)
    monkeypatch.setattr(guard, "UPLOAD_BYTES", 1000)
    assert is_problem(ann.put(path, content=b"x" * 1001, headers=BYTES), 413, "too-large")
    assert guard.UPLOAD_SECONDS > guard.BODY_SECONDS
    assert DEFAULT_LIMITS.file_bytes > guard.BODY_BYTES


def test_pictures_that_wait_to_be_decoded_hold_up_nobody_else(
    app: Guard, connect: Connect, sent: Sent, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on, begun = threading.Event(), threading.Semaphore(0)

    def decodes(sha256: str, data: bytes) -> None:
        begun.release()
        assert go_on.wait(60)

    monkeypatch.setattr(service, "check_picture", decodes)
    people = [connect(name).headers for name in ("ann", "ben", "cat")]
    pictures = [png() + bytes([number]) for number in range(guard.MOST_UPLOADS)]
    with TestClient(app, base_url=API) as client, ThreadPoolExecutor(60) as pool:
        for headers in people:
            client.put("/uploads/mine", json=sent.request, headers=headers)
        sending = [
            pool.submit(put, client, sha256(data), data, headers=headers)
            for headers in people
            for data in pictures
        ]
        try:
            assert all(begun.acquire(timeout=60) for _ in range(MOST_DECODED))
            other = pool.submit(client.get, "/stores", headers=people[0])
            assert other.result(timeout=60).status_code == 200
            assert not begun.acquire(blocking=False)
        finally:
            go_on.set()
        assert {one.result().status_code for one in sending} == {204}


async def ask(app: Guard, token: str, number: int, read: list[int], size: str = "1") -> None:
    """Send a picture said to be of `size` bytes; `read` hears of it when its body is asked for."""

    async def receive() -> dict[str, Any]:
        read.append(number)
        return {"type": "http.request", "body": b"x", "more_body": False}

    async def send(message: Any) -> None:
        pass

    headers = [(b"host", b"127.0.0.1:8000"), (b"content-type", BYTES["Content-Type"].encode())]
    headers += [(b"authorization", token.encode()), (b"content-length", size.encode())]
    path = f"/api/v1/uploads/mine/pictures/{number}"
    scope = {"type": "http", "method": "PUT", "path": path, "query_string": b""}
    await app({**scope, "headers": headers}, receive, send)


def test_of_many_pictures_some_wait_before_their_bodies_are_read(
    ann: TestClient, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "MOST_UPLOADS", 2)
    read, dealt_with = list[int](), list[str]()

    async def main() -> None:
        go_on = anyio.Event()

        async def inner(scope: Any, receive: Any, send: Any) -> None:
            await go_on.wait()
            dealt_with.append(scope["path"])

        app = Guard(inner, Hosts.of(8000), Tokens(home))
        async with anyio.create_task_group() as group:
            for number in range(5):
                group.start_soon(ask, app, ann.headers["Authorization"], number, read)
            await anyio.wait_all_tasks_blocked()
            assert len(read) == 2
            go_on.set()

    anyio.run(main)
    assert (len(read), len(dealt_with)) == (5, 5)


def test_of_large_pictures_of_all_users_some_wait(
    connect: Connect, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "MOST_LARGE", 2)
    read, sizes = list[int](), (str(guard.LARGE_BYTES + 1), "", str(guard.UPLOAD_BYTES), "1")
    tokens = [connect(name).headers["Authorization"] for name in ("ann", "ben", "cat", "dan")]

    async def main() -> None:
        go_on = anyio.Event()

        async def inner(scope: Any, receive: Any, send: Any) -> None:
            await go_on.wait()

        app = Guard(inner, Hosts.of(8000), Tokens(home))
        async with anyio.create_task_group() as group:
            for number, (token, size) in enumerate(zip(tokens, sizes, strict=True)):
                group.start_soon(ask, app, token, number, read, size)
            await anyio.wait_all_tasks_blocked()
            assert sorted(read) == [0, 1, 3]
            go_on.set()

    anyio.run(main)
    assert sorted(read) == [0, 1, 2, 3]


def test_no_other_body_is_anything_but_json(ann: TestClient, sent: Sent) -> None:
    for method, path in (
        ("PUT", "/uploads/mine"),
        ("POST", "/uploads/mine/examples"),
        ("POST", f"/uploads/mine/pictures/{sha256(png())}"),
        ("POST", "/jobs"),
    ):
        assert is_problem(ann.request(method, path, content=png(), headers=BYTES), 415)
