"""The Data pages: what is in a store, for people and for programs; and stores with hostile strings."""

from __future__ import annotations

import io
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image
from starlette.testclient import TestClient

from tests.server.pages.people import Site
from vqa.data.browse import Wanted, find_rows
from vqa.data.inspect import inspect
from vqa.data.record import Example
from vqa.data.store import Store, StoreWriter
from vqa.errors import VQAError
from vqa.jobs.home import Home
from vqa.server.inspections import Inspections

if TYPE_CHECKING:
    from playwright.sync_api import Page

Look = Callable[..., "Page"]
ROOT = "http://127.0.0.1:8000"
IMAGE = "../a/b?c=d&<i>"
HOSTILE = '<script>alert("x")</script> \u202eevil & "quoted" \'one\''


def png() -> bytes:
    made = io.BytesIO()
    Image.new("RGB", (40, 20), "blue").save(made, "PNG")
    return made.getvalue()


@pytest.fixture
def hostile(home: Home) -> str:
    """A store whose every string is somebody's attempt."""
    with StoreWriter(home.stores / "hostile") as writer:
        writer.add_image(IMAGE, data=png(), path=None, width=40, height=20, sha256="ab" * 32)
        for split in ("train", "val"):
            example = Example(
                f"{split}/{HOSTILE}",
                IMAGE,
                HOSTILE,
                answers=[HOSTILE],
                choices=[HOSTILE, "b"],
                label=0,
                question_type=HOSTILE,
                answer_type="<b>",
                split=split,
            )
            writer.add_example(example)
        writer.commit("table")
    return "hostile"


def wait_for_counts(client: TestClient, store: str) -> dict:
    for _ in range(600):
        found = client.get(f"/stores/{store}/inspection").json()["found"]
        if found is not None:
            return found
        time.sleep(0.02)
    raise AssertionError("it was never counted")


def test_what_is_told_is_what_inspect_tells(ann: TestClient, home: Home) -> None:
    found = wait_for_counts(ann, "scenes")
    expected = inspect(Store.open(home.stores / "scenes"))
    assert found | {"store": ""} == expected | {"store": ""}
    assert found["store"] == "scenes"
    assert sum(found["splits"]["train"]["question_words"]["counts"].values()) == 160


def test_counts_are_kept_and_a_damaged_file_is_made_anew(ann: TestClient, home: Home) -> None:
    found = wait_for_counts(ann, "scenes")
    (file,) = (home.path / "cache" / "inspections").iterdir()
    file.write_text("{ damaged")
    assert wait_for_counts(ann, "scenes") == found
    assert file.read_text().endswith("}")


def test_a_store_that_cannot_be_counted_says_so(home: Home, tmp_path: Path) -> None:
    inspections = Inspections(home)

    def ask_until_it_fails() -> None:
        while inspections.get(tmp_path / "none", "ab" * 16) is None:
            time.sleep(0.01)

    with pytest.raises(VQAError, match="no prepared store here"):
        ask_until_it_fails()
    with pytest.raises(VQAError, match="fingerprint"):
        inspections.get(tmp_path, "../../etc")


@pytest.mark.parametrize(
    "wanted",
    [
        Wanted(),
        Wanted(split="val"),
        Wanted(question_type="colour"),
        Wanted(text="COLOUR"),
        Wanted(split="train", text="red", question_type="shape"),
        Wanted(split="none"),
    ],
)
def test_a_filter_finds_what_a_loop_finds(scenes_store: Path, wanted: Wanted) -> None:
    store = Store.open(scenes_store)

    def fits(one: Example) -> bool:
        said = [one.question, *one.answers]
        return (
            wanted.split in ("", one.split)
            and wanted.question_type in ("", one.question_type)
            and any(wanted.text.casefold() in text.casefold() for text in said)
        )

    expected = [row for row in range(len(store.examples)) if fits(store.example(row))]
    assert find_rows(store, wanted).tolist() == expected


def test_examples_a_page_at_a_time(ann: TestClient) -> None:
    first = ann.get("/stores/scenes/examples?limit=3").json()
    second = ann.get("/stores/scenes/examples?limit=3&start=3").json()
    assert first["total"] == second["total"] == 240
    ids = [one["question_id"] for one in first["items"] + second["items"]]
    assert len(set(ids)) == 6
    assert ann.get("/stores/scenes/examples?limit=0").status_code == 422


def test_pictures(ann: TestClient, hostile: str) -> None:
    answer = ann.get(f"/stores/{hostile}/picture", params={"image_id": IMAGE, "side": 80})
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert Image.open(io.BytesIO(answer.content)).size == (80, 40)
    for params in ({"image_id": "../../etc/passwd"}, {"image_id": "none"}):
        missing = ann.get(f"/stores/{hostile}/picture", params=params)
        assert missing.status_code == 404
    assert ann.get(f"/stores/{hostile}/picture?image_id=x&side=100000").status_code == 422


@pytest.mark.parametrize("name", ["none", "%2e%2e", "a%2fb", "scenes%00"])
def test_a_store_that_is_not_there(ann: TestClient, name: str) -> None:
    for path in (f"{ROOT}/data/{name}", f"{ROOT}/api/v1/stores/{name}/examples"):
        answer = ann.get(path, headers={"Accept": "text/html"})
        assert answer.status_code in (404, 422)


def test_a_store_s_page(
    site: Site,
    look: Look,
    shoot: Callable[..., object],
    check_accessible: Callable[..., None],
) -> None:
    page = look(site, "/data")
    page.get_by_role("link", name="scenes").click()
    page.get_by_role("heading", name="Distributions").wait_for()
    page.locator(".plot .main-svg").first.wait_for()
    assert page.get_by_text("No picture stands in two splits.").is_visible()
    check_accessible(page)
    shoot(page, "data")
    page.get_by_label("Split", exact=True).select_option("test")
    page.get_by_role("button", name="Filter").click()
    page.get_by_text("1 to 24 of 40").wait_for()
    page.get_by_role("link", name="All questions about the picture", exact=False).first.click()
    page.get_by_text("1 to 4 of 4").wait_for()


def test_hostile_strings_are_text(
    site: Site,
    look: Look,
    hostile: str,
    shoot: Callable[..., object],
    check_accessible: Callable[..., None],
) -> None:
    page = look(site, f"/data/{hostile}", scheme="dark", size="phone")
    page.get_by_role("heading", name="Distributions").wait_for()
    assert page.get_by_text("Splits share pictures").is_visible()
    assert page.get_by_role("heading", name="<script>", exact=False).first.is_visible()
    assert page.locator("main script").count() == 0
    check_accessible(page)
    shoot(page, "data-dark-phone")


def test_text_only_gone_pictures_and_no_store(ann: TestClient, home: Home, hostile: str) -> None:
    with StoreWriter(home.stores / "words") as writer:
        writer.add_image("i", data=None, path=None, width=0, height=0, sha256="")
        writer.add_example(Example("q", "i", "what?", answers=["yes"], split="train"))
        writer.commit("vqa", text_only=True)
    page = ann.get(f"{ROOT}/data/words").text
    assert "text only" in page
    assert "<img" not in page
    assert ann.get("/stores/words/picture?image_id=i").status_code == 404
    for name in ("scenes", "words", hostile):
        shutil.rmtree(home.stores / name)
    assert "There is no store yet." in ann.get(f"{ROOT}/data").text
