"""Stores that are sent over HTTP, by people who mean well and people who mean harm."""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.server.conftest import Connect
from tests.server.test_access import is_problem
from tests.server.test_hostile import MALFORMED, TRAVERSAL, raw
from tests.server.test_stores import png
from vqa.data.image import DEFAULT_LIMITS
from vqa.data.store import Store
from vqa.jobs.home import Home
from vqa.jobs.record import State
from vqa.jobs.uploads.owned import DOOMED
from vqa.server import guard
from vqa.server.app import create_app
from vqa.server.guard import Guard, Hosts

BYTES = {"Content-Type": "application/octet-stream"}
JSON = {"Content-Type": "application/json"}


class Sent:
    """What is sent of a small store: two examples, one picture each."""

    def __init__(self, store: Store) -> None:
        self.pictures = {store.images[row]["image_id"]: store.image_bytes(row) for row in (0, 1)}
        self.hashes = {key: sha256(data) for key, data in self.pictures.items()}
        wanted = [r for r in store.records() if r["image_id"] in self.pictures]
        self.examples = wanted
        self.request = {
            "fingerprint": fingerprint(wanted, self.hashes),
            "source": "scenes",
            "questions": len(wanted),
            "images": 2,
            "bytes": sum(map(len, self.pictures.values())),
        }

    def piece(self, first: int = 0, count: int | None = None, **changes: Any) -> dict[str, Any]:
        examples = self.examples[first:][:count]
        ids = {one["image_id"] for one in examples}
        pictures = {key: value for key, value in self.hashes.items() if key in ids}
        return {"first": first, "examples": examples, "pictures": pictures, **changes}

    def send(self, client: TestClient, name: str = "mine") -> None:
        """All of it, but for the finish."""
        assert client.put(f"/uploads/{name}", json=self.request).status_code == 200
        assert client.post(f"/uploads/{name}/examples", json=self.piece()).status_code == 200
        for key, data in self.pictures.items():
            assert put(client, self.hashes[key], data, name).status_code == 204


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def fingerprint(examples: list[dict[str, Any]], hashes: dict[str, str]) -> str:
    """As `prepare` makes it: each picture before its first example."""
    digest, seen = hashlib.sha256(), set()
    for one in examples:
        if one["image_id"] not in seen:
            seen.add(one["image_id"])
            digest.update(json.dumps([one["image_id"], hashes[one["image_id"]]]).encode())
        digest.update(json.dumps(one).encode())
    return digest.hexdigest()


def put(client: TestClient, name: str, data: bytes, store: str = "mine") -> Any:
    return client.put(f"/uploads/{store}/pictures/{name}", content=data, headers=BYTES)


def made(client: TestClient, name: str = "mine") -> dict[str, Any]:
    """Finish, and wait for what becomes of it."""
    view = client.post(f"/uploads/{name}/finish").json()
    until = time.monotonic() + 120
    while view["state"] == "making":
        assert time.monotonic() < until
        time.sleep(0.05)
        view = client.get(f"/uploads/{name}").json()
    return dict(view)


def staged(home: Home) -> list[Path]:
    return [path for path in (home.path / "uploads").iterdir() if DOOMED not in path.name]


@pytest.fixture
def sent(scenes_store: Path) -> Sent:
    return Sent(Store.open(scenes_store))


def test_a_store_is_made_of_what_was_sent(ann: TestClient, home: Home, sent: Sent) -> None:
    begun = ann.put("/uploads/mine", json=sent.request).json()
    assert (begun["state"], begun["questions"], begun["pictures"]) == ("open", 0, 0)
    assert is_problem(ann.post("/uploads/mine/finish"), 409, "conflict")
    first = ann.post("/uploads/mine/examples", json=sent.piece(0, 1)).json()
    assert first["questions"] == 1
    assert ann.post("/uploads/mine/examples", json=sent.piece(0, 1)).json() == first  # sent again
    assert ann.post("/uploads/mine/examples", json=sent.piece(1)).status_code == 200
    asked = {"sha256": list(sent.hashes.values())}
    assert ann.post("/uploads/mine/missing", json=asked).json() == asked
    for key, data in sent.pictures.items():
        assert put(ann, sent.hashes[key], data).status_code == 204
        assert put(ann, sent.hashes[key], data).status_code == 204
    assert ann.post("/uploads/mine/missing", json=asked).json() == {"sha256": []}
    assert ann.get("/uploads/mine").json()["bytes"] == sent.request["bytes"]
    view = made(ann)
    assert (view["state"], view["error"]) == ("made", "")
    store = Store.open(home.stores / "mine")
    assert store.fingerprint == sent.request["fingerprint"] == store.computed_fingerprint()
    assert list(store.records()) == sent.examples
    assert (store.manifest.source, store.manifest.images) == ("scenes", 2)
    [listed] = [one for one in ann.get("/stores").json() if one["name"] == "mine"]
    assert listed["uploaded_by"] == "ann"
    assert time.time() - 120 < listed["uploaded"] <= time.time()
    assert staged(home) == []
    assert sorted(path.name for path in home.stores.iterdir()) == ["mine", "scenes"]
    assert ann.put("/uploads/mine", json=sent.request).json()["state"] == "made"


def test_who_may(connect: Connect, sent: Sent) -> None:
    reader, ann, ben = connect("reader", "read"), connect("ann"), connect("ben")
    assert is_problem(reader.put("/uploads/mine", json=sent.request), 403, "forbidden")
    assert ann.put("/uploads/mine", json=sent.request).status_code == 200
    assert is_problem(ben.get("/uploads/mine"), 404, "not-found")
    assert is_problem(ben.post("/uploads/mine/examples", json=sent.piece()), 404, "not-found")
    data = next(iter(sent.pictures.values()))
    assert is_problem(put(ben, sha256(data), data), 404, "not-found")
    assert is_problem(ben.post("/uploads/mine/finish"), 404, "not-found")
    assert is_problem(ben.delete("/uploads/mine"), 404, "not-found")
    assert ann.delete("/uploads/mine").status_code == 204
    assert is_problem(ann.get("/uploads/mine"), 404, "not-found")


@pytest.mark.parametrize("name", TRAVERSAL)
def test_a_name_is_a_name(name: str, ann: TestClient, app: Guard, home: Home, sent: Sent) -> None:
    ann.put("/uploads/mine", json=sent.request)
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
    monkeypatch.setattr(guard, "MOST_UPLOADS", 0)
    assert is_problem(put(ann, sha256(data), data), 429, "busy")
    assert DEFAULT_LIMITS.file_bytes > guard.BODY_BYTES


def test_no_other_body_is_anything_but_json(ann: TestClient, sent: Sent) -> None:
    for method, path in (
        ("PUT", "/uploads/mine"),
        ("POST", "/uploads/mine/examples"),
        ("POST", f"/uploads/mine/pictures/{sha256(png())}"),
        ("POST", "/jobs"),
    ):
        assert is_problem(ann.request(method, path, content=png(), headers=BYTES), 415)


def test_of_two_people_the_first_to_finish_has_the_name(
    connect: Connect, home: Home, sent: Sent, scenes_store: Path
) -> None:
    ann, ben = connect("ann"), connect("ben")
    other = Sent(Store.open(scenes_store))
    other.examples = other.examples[:1]
    other.request |= {
        "questions": 1,
        "fingerprint": fingerprint(other.examples, other.hashes),
    }
    sent.send(ann)
    other.send(ben)
    assert made(ben)["state"] == "made"
    view = made(ann)
    assert view["state"] == "failed"
    assert "'mine' was taken meanwhile" in view["error"]
    assert is_problem(ann.put("/uploads/mine", json=sent.request), 409, "conflict")
    assert Store.open(home.stores / "mine").fingerprint == other.request["fingerprint"]
    assert is_problem(ann.delete("/stores/mine"), 403, "forbidden")
    assert "is ben's" in ann.delete("/stores/mine").json()["detail"]


def test_the_same_store_of_two_people_is_made_once(
    connect: Connect, home: Home, sent: Sent
) -> None:
    ann, ben = connect("ann"), connect("ben")
    sent.send(ann)
    sent.send(ben)
    views: list[dict[str, Any]] = []
    threads = [threading.Thread(target=lambda c=c: views.append(made(c))) for c in (ann, ben)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [view["state"] for view in views] == ["made", "made"]
    assert sorted(path.name for path in home.stores.iterdir()) == ["mine", "scenes"]


def test_content_that_is_not_of_its_fingerprint_makes_nothing(
    ann: TestClient, home: Home, sent: Sent
) -> None:
    sent.request["fingerprint"] = "0" * 64
    sent.send(ann)
    view = made(ann)
    assert (view["state"], f"not {'0' * 64}" in view["error"]) == ("refused", True)
    assert not (home.stores / "mine").exists()
    assert staged(home) == []


def test_records_that_cannot_be_used_are_listed_and_nothing_stays(
    ann: TestClient, home: Home, sent: Sent
) -> None:
    for one in sent.examples[1:]:
        one["question_id"] = sent.examples[0]["question_id"]
    sent.send(ann)
    view = made(ann)
    assert (view["state"], view["unusable_in_all"]) == ("refused", len(sent.examples) - 1)
    assert view["unusable"][0]["where"] == "mine, record 2"
    assert "occurs before" in view["unusable"][0]["reason"]
    assert str(home.path) not in json.dumps(view)
    assert [path.name for path in home.stores.iterdir()] == ["scenes"]
    assert staged(home) == []
    assert ann.put("/uploads/mine", json=sent.request).json()["state"] == "open"  # begins anew


def test_a_picture_that_has_not_come_is_asked_for_again(
    ann: TestClient, home: Home, sent: Sent
) -> None:
    ann.put("/uploads/mine", json=sent.request)
    ann.post("/uploads/mine/examples", json=sent.piece())
    view = made(ann)
    assert (view["state"], "has not come" in view["error"]) == ("failed", True)
    assert str(home.path) not in json.dumps(view)
    sent.send(ann)
    assert made(ann)["state"] == "made"


def test_other_content_under_the_name_keeps_the_pictures(ann: TestClient, sent: Sent) -> None:
    sent.send(ann)
    changed = sent.request | {"fingerprint": "1" * 64}
    begun = ann.put("/uploads/mine", json=changed).json()
    assert (begun["questions"], begun["pictures"]) == (0, 2)


@pytest.fixture
def limited(home: Home, connect: Connect) -> Iterator[Callable[[str], TestClient]]:
    """Makes ann's client of a server with these quotas."""
    from vqa.server import tokens

    token = tokens.add(home, "ann", "submit")

    def make(quotas: str) -> TestClient:
        (home.path / "settings.yaml").write_text(f"quotas: {{{quotas}}}\n")
        app = create_app(Home(home.path), Hosts.of(8000), warm=False)
        headers = {"Authorization": f"Bearer {token}"}
        return TestClient(app, base_url="http://127.0.0.1:8000/api/v1", headers=headers)

    return make


def test_quotas(limited: Callable[[str], TestClient], sent: Sent, home: Home) -> None:
    off = limited("min_free_mb: 0, upload_mb_per_user: 0").put("/uploads/mine", json=sent.request)
    assert is_problem(off, 403, "forbidden")
    assert "uploads are off" in off.json()["detail"]
    small = limited("min_free_mb: 0, upload_mb_per_user: 1")
    refused = small.put("/uploads/mine", json=sent.request | {"bytes": 1 << 21})
    assert is_problem(refused, 429, "quota")
    assert "2 MiB more would exceed the 1 MiB" in refused.json()["detail"]
    assert small.put("/uploads/mine", json=sent.request).status_code == 200
    noise = [png() + os.urandom(300_000) for _ in range(4)]
    codes = [put(small, sha256(data), data).status_code for data in noise]
    assert codes == [204, 204, 204, 429]  # whatever was said of its size before
    assert small.delete("/uploads/mine").status_code == 204
    sent.send(small)
    assert made(small)["state"] == "made"
    refused = small.put("/uploads/other", json=sent.request | {"bytes": (1 << 20) - 2000})
    assert is_problem(refused, 429, "quota")  # the store that was made counts, too
    full = limited("min_free_mb: 1000000000")
    assert is_problem(full.put("/uploads/more", json=sent.request), 507, "disk-full")
    assert [path.name for path in staged(home)] == []


def test_a_disk_that_fills_up_while_it_is_sent(
    limited: Callable[[str], TestClient], sent: Sent
) -> None:
    assert limited("min_free_mb: 0").put("/uploads/mine", json=sent.request).status_code == 200
    full = limited("min_free_mb: 1000000000")
    data = next(iter(sent.pictures.values()))
    assert is_problem(put(full, sha256(data), data), 507, "disk-full")
    assert is_problem(full.post("/uploads/mine/examples", json=sent.piece()), 507, "disk-full")


def test_unfinished_uploads_are_few(ann: TestClient, sent: Sent) -> None:
    codes = [ann.put(f"/uploads/n{k}", json=sent.request).status_code for k in range(21)]
    assert codes == [200] * 20 + [429]


def test_a_store_is_deleted_by_its_owner_where_no_job_needs_it(
    connect: Connect, home: Home, sent: Sent, request_body: Callable[..., dict[str, Any]]
) -> None:
    from vqa.jobs.queue import Queue

    ann, ben, root = connect("ann"), connect("ben"), connect("root", "admin")
    for name in ("mine", "more"):
        sent.send(ann, name)
        assert made(ann, name)["state"] == "made"
    body = request_body()
    body["experiment"]["data"]["store"] = "mine"
    body["experiment"]["evaluation"] = {"split": "train"}
    job = ben.post("/jobs", json=body).json()["id"]
    refused = ann.delete("/stores/mine")
    assert is_problem(refused, 409, "conflict")
    assert job in refused.json()["detail"]
    queue = Queue(home.queue_file)
    assert queue.request_cancel(job).state is State.CANCELLED
    assert is_problem(ben.delete("/stores/mine"), 403, "forbidden")
    assert ann.delete("/stores/mine").json()["bytes"] > 1000
    assert root.delete("/stores/more").status_code == 200
    assert is_problem(ann.delete("/stores/mine"), 404, "not-found")
    assert is_problem(ann.get("/uploads/mine"), 404, "not-found")
    assert is_problem(root.delete("/stores/scenes"), 403, "forbidden")  # prepared there
    assert [path.name for path in home.stores.iterdir()] == ["scenes"]
    assert is_problem(ben.post("/jobs", json=body), 422, "invalid")
