"""Stores looked into over HTTP."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from starlette.testclient import TestClient

from tests.server.test_access import is_problem
from tests.server.test_hostile import SCRIPTS, TRAVERSAL
from vqa.data.image import ImageInfo
from vqa.data.record import Example
from vqa.data.store import Store
from vqa.data.store_writer import StoreWriter
from vqa.jobs.home import Home

HOSTILE_ID = 'a/b/../<img src=x>"é 図.png'


def png(colour: str = "teal") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (90, 60), colour).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def odd(home: Home, tmp_path: Path) -> str:
    """A store with ids of people who mean harm, a picture that is gone, and one that is no picture."""
    gone = tmp_path / "gone.png"
    gone.write_bytes(png("red"))
    pictures: dict[str, Any] = {HOSTILE_ID: png(), "gone": gone, "broken": b"\x89PNG\r\n\x1a\nno"}
    with StoreWriter(home.stores / "odd") as writer:
        for image_id, data in pictures.items():
            content = data.read_bytes() if isinstance(data, Path) else data
            info = ImageInfo(90, 60, hashlib.sha256(content).hexdigest())
            where = {"path": data} if isinstance(data, Path) else {"data": data}
            writer.add_image(image_id, info, **where)
        for place, text in enumerate(SCRIPTS):
            example = Example(text, HOSTILE_ID, f"{text} what?", [text, "b"], split=f"s{place % 2}")
            writer.add_example(example)
        writer.commit("table")
    gone.unlink()
    return "odd"


def counted(client: TestClient, store: str) -> dict[str, Any]:
    until = time.monotonic() + 60
    while True:
        body: dict[str, Any] = client.get(f"/stores/{store}").json()
        if body["state"] != "counting":
            return body
        assert time.monotonic() < until
        time.sleep(0.05)


def test_a_store_is_counted_once_and_kept(
    ann: TestClient, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vqa.jobs.local_service import LocalService
    from vqa.server.holdings import Holdings
    from vqa.server.opened import Opened

    first = ann.get("/stores/scenes").json()
    assert (first["state"], first["inspection"]) == ("counting", None)
    found = counted(ann, "scenes")["inspection"]
    assert found["questions"] == 240
    assert found["distributions"]["answers"]["splits"].keys() == {"train", "val", "test"}
    assert "store" not in found
    assert str(home.path) not in json.dumps(found)
    deadline = time.monotonic() + 20
    while not list((home.path / "cache" / "stores").glob("*.json")):  # it is told before it is kept
        assert time.monotonic() < deadline
        time.sleep(0.02)
    monkeypatch.setattr("vqa.server.holdings._inspected", lambda _: pytest.fail("again"))
    later = Holdings(LocalService(home, paths_allowed=False).checker.library, Opened())
    assert later.counted("scenes").found == found


def test_records_left_out_are_told_without_folders(ann: TestClient, home: Home) -> None:
    shutil.copytree(home.stores / "scenes", home.stores / "less")
    rows = [
        {"where": "/srv/a b/t.csv, line 2", "reason": "image /srv/a b/x.avif: no such image file"},
        {"where": "/srv/a b/t.csv, line 3", "reason": "no such image file", "image": "a/photos/y"},
        {"where": "t.csv, line 4", "reason": "its annotation (/srv/v2/ann.json, record 3): yes/no"},
    ]
    (home.stores / "less" / "rejected.jsonl").write_text("\n".join(map(json.dumps, rows)))
    manifest = home.stores / "less" / "store.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"rejected": 3}))
    found = counted(ann, "less")["inspection"]["rejected_reasons"]
    assert found[0] == {
        "reason": "no such image file",
        "records": 2,
        "first": "t.csv, line 2",
        "image": "x.avif",
    }
    assert found[1]["reason"] == "its annotation (ann.json, record 3): yes/no"


def test_a_store_that_cannot_be_counted_says_why(ann: TestClient, home: Home) -> None:
    shutil.copytree(home.stores / "scenes", home.stores / "cut")
    (home.stores / "cut" / "examples.arrow").write_bytes(b"no table")
    body = counted(ann, "cut")
    assert (body["state"], body["inspection"]) == ("failed", None)
    assert "damaged table" in body["fault"]
    answer = ann.get("/stores/cut/examples")
    assert is_problem(answer, 422, "invalid")
    for text in (body["fault"], answer.text):
        assert str(home.path) not in text
    shutil.copy(home.stores / "scenes" / "examples.arrow", home.stores / "cut")
    assert counted(ann, "cut")["state"] == "counted"


def test_examples_by_what_they_are(ann: TestClient, home: Home) -> None:
    store = Store.open(home.stores / "scenes")
    page = ann.get("/stores/scenes/examples", params={"split": "val", "limit": 7}).json()
    assert (page["total"], page["next"], len(page["examples"])) == (40, 7, 7)
    expected = store.example(int(store.rows("val")[0]))
    first = page["examples"][0]
    assert first["question_id"] == expected.question_id
    assert (first["question"], first["answers"]) == (expected.question, expected.answers)
    assert first["right"] == expected.choices[expected.label] if expected.choices else True
    last = ann.get("/stores/scenes/examples", params={"split": "val", "offset": 35}).json()
    assert (len(last["examples"]), last["next"]) == (5, None)
    beyond = ann.get("/stores/scenes/examples", params={"offset": 10_000}).json()
    assert (beyond["examples"], beyond["total"], beyond["next"]) == ([], 240, None)
    text = first["question"].upper()
    found = ann.get("/stores/scenes/examples", params={"text": text, "limit": 100}).json()
    assert first["question_id"] in {one["question_id"] for one in found["examples"]}


def test_one_example_or_any(ann: TestClient) -> None:
    any_of = ann.get("/stores/scenes/example", params={"split": "test"}).json()
    assert any_of["split"] == "test"
    same = ann.get("/stores/scenes/example", params={"question_id": any_of["question_id"]})
    assert same.json() == any_of
    for params in ({"question_id": "nobody"}, {"split": "nowhere"}):
        assert is_problem(ann.get("/stores/scenes/example", params=params), 404, "not-found")


def test_hostile_strings_are_data(ann: TestClient, odd: str) -> None:
    for text in SCRIPTS:
        found = ann.get(f"/stores/{odd}/example", params={"question_id": text}).json()
        assert (found["question"], found["right"]) == (f"{text} what?", text)


def test_a_picture_is_made_anew_and_kept_by_its_tag(ann: TestClient, odd: str) -> None:
    address, params = f"/stores/{odd}/picture", {"image_id": HOSTILE_ID, "size": 45}
    answer = ann.get(address, params=params)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"].startswith("private")
    opened = Image.open(io.BytesIO(answer.content)).convert("RGB")
    assert (opened.size, opened.getpixel((5, 5))) == ((45, 30), (0, 128, 128))
    tag = answer.headers["etag"]
    again = ann.get(address, params=params, headers={"If-None-Match": tag})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    other = ann.get(address, params={**params, "size": 46}, headers={"If-None-Match": tag})
    assert other.status_code == 200


@pytest.mark.parametrize(
    ("params", "status"),
    [
        ({"image_id": "gone"}, 404),
        ({"image_id": "broken"}, 422),
        ({"image_id": "nobody"}, 404),
        ({"image_id": HOSTILE_ID, "size": 0}, 422),
        ({"image_id": HOSTILE_ID, "size": 100_000}, 422),
        ({}, 422),
    ],
)
def test_pictures_that_are_not_to_be_had(
    ann: TestClient, odd: str, tmp_path: Path, params: dict[str, Any], status: int
) -> None:
    answer = ann.get(f"/stores/{odd}/picture", params=params)
    assert is_problem(answer, status)
    assert str(tmp_path) not in answer.text


def test_a_store_made_from_text_alone_has_no_picture(ann: TestClient, home: Home) -> None:
    with StoreWriter(home.stores / "words") as writer:
        writer.add_image("1", ImageInfo(1, 1, "0"), data=png())
        writer.add_example(Example("q", "1", "what?", ["a"]))
        writer.commit("table", text_only=True)
    answer = ann.get("/stores/words/picture", params={"image_id": "1"})
    assert is_problem(answer, 404, "not-found")
    assert ann.get("/stores/words/examples").json()["total"] == 1


@pytest.mark.parametrize("name", TRAVERSAL)
def test_no_name_leads_out_of_the_stores(name: str, ann: TestClient) -> None:
    for rest in ("", "/examples", "/example", "/picture?image_id=1"):
        answer = ann.get(f"/stores/{name}{rest}")
        assert answer.status_code in (404, 422)
        assert "root:" not in answer.text


def test_who_is_nobody_sees_nothing(connect: Callable[..., TestClient]) -> None:
    for rest in ("", "/examples", "/example", "/picture?image_id=1"):
        assert connect().get(f"/stores/scenes{rest}").status_code == 401
    assert connect("eve", "read").get("/stores/scenes/examples").status_code == 200
