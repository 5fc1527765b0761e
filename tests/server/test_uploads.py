"""Stores that are sent over HTTP: made, refused, bounded, shared, deleted."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.server.conftest import Connect
from tests.server.sending import Sent, fingerprint, made, put, sha256, staged
from tests.server.test_access import is_problem
from tests.server.test_stores import png
from vqa.data.store import Store
from vqa.jobs.home import Home
from vqa.jobs.record import State
from vqa.jobs.uploads.service import Uploads
from vqa.server.app import create_app
from vqa.server.guard import Hosts


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

    token, made = tokens.add(home, "ann", "submit"), list[Uploads]()

    def make(quotas: str) -> TestClient:
        for earlier in made:
            earlier.close()
        (home.path / "settings.yaml").write_text(f"quotas: {{{quotas}}}\n")
        app = create_app(Home(home.path), Hosts.of(8000), warm=False)
        made.append(app.app.state.uploads)  # type: ignore[attr-defined]
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
    assert "3 MiB more would exceed the 1 MiB" in refused.json()["detail"]
    assert small.put("/uploads/mine", json=sent.request).status_code == 200
    noise = [png() + os.urandom(300_000) for _ in range(4)]
    codes = [put(small, sha256(data), data).status_code for data in noise]
    assert codes == [204, 204, 204, 429]  # whatever was said of its size before
    assert small.delete("/uploads/mine").status_code == 204
    sent.send(small)
    assert made(small)["state"] == "made"
    refused = small.put("/uploads/other", json=sent.request | {"bytes": (1 << 20) - 6096})
    assert is_problem(refused, 429, "quota")  # the store that was made counts, too
    full = limited("min_free_mb: 1000000000")
    assert is_problem(full.put("/uploads/more", json=sent.request), 507, "disk-full")
    assert [path.name for path in staged(home)] == []


def test_a_picture_of_many_images_counts_for_each_of_them(
    limited: Callable[[str], TestClient], home: Home
) -> None:
    ann = limited("min_free_mb: 0, upload_mb_per_user: 1")
    data, ids = png() + os.urandom(300_000), [f"image {number}" for number in range(4)]
    begun = {"fingerprint": "0" * 64, "source": "x", "questions": 4, "images": 4, "bytes": 0}
    assert ann.put("/uploads/mine", json=begun).status_code == 200
    examples = [{"question_id": one, "image_id": one, "question": "what?"} for one in ids]
    piece = {"first": 0, "examples": examples, "pictures": dict.fromkeys(ids, sha256(data))}
    assert ann.post("/uploads/mine/examples", json=piece).status_code == 200
    assert put(ann, sha256(data), data).status_code == 204
    view = made(ann)
    assert view["state"] == "failed"
    assert "2 MiB more would exceed the 1 MiB" in view["error"]
    assert not list(home.stores.glob("*mine*"))


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
    (home.stores / "mine" / "cache").mkdir()
    (home.stores / "mine" / "cache" / "texts").write_bytes(bytes(77))  # goes with it
    size = sum(file.stat().st_size for file in (home.stores / "mine").rglob("*.*")) + 77
    assert ann.delete("/stores/mine").json()["bytes"] == size
    assert is_problem(ann.get("/uploads/mine"), 404, "not-found")
    assert ann.get("/uploads/more").json()["state"] == "made"
    assert root.delete("/stores/more").status_code == 200
    assert is_problem(ann.delete("/stores/mine"), 404, "not-found")
    assert is_problem(ann.get("/uploads/more"), 404, "not-found")
    assert is_problem(root.delete("/stores/scenes"), 403, "forbidden")  # prepared there
    assert [path.name for path in home.stores.iterdir()] == ["scenes"]
    assert is_problem(ben.post("/jobs", json=body), 422, "invalid")


def test_a_store_that_is_deleted_gives_its_room_back(
    ann: TestClient, home: Home, sent: Sent, request_body: Callable[..., dict[str, Any]]
) -> None:
    """It was looked at, trained on and asked about: nothing keeps its files open."""
    sent.send(ann, "mine")
    assert made(ann)["state"] == "made"
    body = request_body()
    body["experiment"]["data"]["store"] = "mine"
    body["experiment"]["evaluation"] = {"split": "train"}
    job = ann.post("/jobs", json=body).json()["id"]
    assert ann.post(f"/jobs/{job}/cancel").status_code == 200
    assert ann.get("/stores/mine/examples").status_code == 200
    assert mapped(home.stores / "mine")
    assert ann.delete("/stores/mine").status_code == 200
    assert not mapped(home.stores)


def mapped(folder: Path) -> list[str]:
    """This process's maps of files in a folder."""
    return [
        line for line in Path("/proc/self/maps").read_text().splitlines() if str(folder) in line
    ]
