"""The Data pages."""

from __future__ import annotations

import hashlib
import io
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from PIL import Image

from tests.server.pages.people import Site, too_wide
from tests.server.test_hostile import SCRIPTS
from vqa.data.image import ImageInfo
from vqa.data.record import BadRow, Example
from vqa.data.store import Store
from vqa.data.store_writer import StoreWriter
from vqa.jobs.home import Home
from vqa.server.pages.data_charts import figure, shares
from vqa.server.pages.layout import bytes_text

if TYPE_CHECKING:
    from playwright.sync_api import Page

Look = Callable[..., "Page"]
Queued = Callable[..., str]
LONG, RIGHT_TO_LEFT = "x" * 5000, "ما هذا اللون؟"


@pytest.fixture
def odd(home: Home, tmp_path: Path) -> str:
    """A store of people who mean harm; one of its pictures is gone."""
    buffer = io.BytesIO()
    Image.new("RGB", (90, 60), "teal").save(buffer, "PNG")
    gone = tmp_path / "gone.png"
    gone.write_bytes(buffer.getvalue())
    digest = hashlib.sha256(buffer.getvalue()).hexdigest()
    texts = [*SCRIPTS, LONG, RIGHT_TO_LEFT, "q/a/../b?c=d&e#f %2F ü"]
    with StoreWriter(home.stores / "odd") as writer:
        for image_id in ("<b>/../1", "gone"):
            data, path = (None, gone) if image_id == "gone" else (buffer.getvalue(), None)
            writer.add_image(image_id, ImageInfo(90, 60, digest), data=data, path=path)
        for place, text in enumerate(texts):
            writer.add_example(
                Example(
                    question_id=text,
                    image_id="gone" if place == 1 else "<b>/../1",
                    question=f"{text} ?",
                    answers=[text, text, "yes"],
                    choices=[text, "yes"],
                    label=place % 2,
                    question_type=text[:40],
                    answer_type="<u>",
                    split=("train", "<i>val")[place % 2],
                )
            )
        writer.reject(BadRow("/home/somebody/file.json: record <3>", "no <script>answer</script>"))
        writer.commit("<b>table")
    gone.unlink()
    return "odd"


def text_of(site: Site, path: str, status: int = 200) -> str:
    headers = {"Authorization": f"Bearer {site.token}", "Accept": "text/html"}
    answer = httpx.get(site.address + path, headers=headers, trust_env=False, timeout=30)
    assert answer.status_code == status
    return answer.text


def test_from_the_list_to_an_example_and_on_to_ask(site: Site, home: Home, look: Look) -> None:
    store = Store.open(home.stores / "scenes")
    page = look(site, "/data")
    row = page.get_by_role("row", name="scenes")
    assert store.fingerprint[:12] in row.inner_text()
    assert "train 160" in row.inner_text().replace("\n", " ")
    page.get_by_role("link", name="scenes").click()
    page.get_by_role("heading", name="Coverage by training").wait_for()  # it fills itself in
    page.get_by_text("No image stands in two splits").wait_for()
    page.locator(".plot .bars").first.wait_for()
    figures = page.get_by_role("region", name="Words a question")
    page.locator("#table-words summary").click()
    assert figures.get_by_role("row").count() > 2
    page.get_by_label("Split", exact=True).select_option("val")
    page.get_by_role("button", name="Choose").click()
    page.wait_for_url("**split=val**")
    expected = store.example(int(store.rows("val")[0]))
    card = page.locator(".examples li.card").first
    assert expected.question in card.inner_text()
    if expected.choices:
        right = card.locator(".right-choice").inner_text()
        assert right.startswith(expected.choices[expected.label])
    picture = card.locator("img")
    picture.scroll_into_view_if_needed()
    page.wait_for_function("e => e.complete && e.naturalWidth > 0", arg=picture.element_handle())
    page.get_by_role("link", name="Next", exact=True).click()
    page.get_by_text("25 to 40 of 40").wait_for()
    page.get_by_role("link", name="Previous", exact=True).click()
    page.locator(".examples li.card").first.get_by_role("link", name="Ask about it").click()
    page.wait_for_url(f"**store=scenes&question_id={expected.question_id}")


@pytest.mark.parametrize("size", ["phone", "small"])
def test_a_phone_shows_every_value(site: Site, look: Look, size: str) -> None:
    page = look(site, "/data", size=size)
    assert not too_wide(page)
    assert page.get_by_role("link", name="scenes").is_visible()
    page.get_by_role("link", name="scenes").click()
    page.get_by_role("heading", name="Coverage by training").wait_for()
    page.locator(".plot").first.scroll_into_view_if_needed()
    page.locator(".plot .legend").first.wait_for()
    assert page.locator(".modebar-btn").count() == 0  # they would stand on the legend
    assert not too_wide(page)


def test_what_is_mentioned_is_found(site: Site, home: Home) -> None:
    example = Store.open(home.stores / "scenes").example(3)
    shown = text_of(site, f"/data/scenes?text={example.question_id}")
    assert "1 to 1 of 1" in shown
    assert "No example is like that." in text_of(site, "/data/scenes?text=xyzzyplugh")


def test_hostile_strings_are_text(site: Site, odd: str, look: Look) -> None:
    page = look(site, f"/data/{odd}")
    page.get_by_role("heading", name="Records left out").wait_for()
    page.locator(".plot .bars").first.wait_for()
    said = page.locator("main").inner_text()
    for text in (
        "<script>alert(1)</script>",
        "{{7*7}}${7*7}",
        RIGHT_TO_LEFT,
        "file.json: record <3>",
    ):
        assert text in said
    assert "/home/somebody" not in said
    assert page.locator("main script, main img[src=x]").count() == 0
    page.locator(".examples").scroll_into_view_if_needed()
    page.get_by_text("This picture cannot be shown").wait_for()
    for link in page.locator(".examples").get_by_role("link", name="Ask about it").all():
        address = link.get_attribute("href")
        assert address is not None
        shown = text_of(site, address)
        assert "<script>alert" not in shown


def test_text_only_and_unreadable_stores(site: Site, home: Home) -> None:
    with StoreWriter(home.stores / "words") as writer:
        writer.add_image("1", ImageInfo(1, 1, "0"), data=b"x")
        writer.add_example(Example("q", "1", "what now?", ["a"]))
        writer.commit("table", text_only=True)
    shutil.copytree(home.stores / "scenes", home.stores / "cut")
    (home.stores / "cut" / "store.json").write_text("{")
    listed = text_of(site, "/data")
    assert "unreadable manifest" in listed
    assert str(home.path) not in listed
    shown = text_of(site, "/data/words")
    assert "what now?" in shown
    assert "<img" not in shown
    assert "/ask?store" not in shown
    assert str(home.path) not in text_of(site, "/data/cut", 422)


def test_a_store_that_is_not_there(site: Site) -> None:
    for path in ("/data/nowhere", "/data/nowhere/counted", "/data/scenes/charts/none.json"):
        assert "Not found" in text_of(site, path, 404)
    assert "Unprocessable" in text_of(site, "/data/scenes?offset=-1", 422)


def test_an_empty_home_says_how_to_make_a_store(site: Site, home: Home) -> None:
    shutil.rmtree(home.stores / "scenes")
    page = text_of(site, "/data")
    assert "vqa prepare scenes --to VQA_HOME/stores/scenes" in page
    assert "vqa upload STORE --as NAME" in page


def test_who_uploaded_a_store_and_how_another_one_is(site: Site, home: Home) -> None:
    assert "uploaded by" not in text_of(site, "/data")
    owner = '{"user": "ben", "time": 1700000000.0}'
    (home.stores / "scenes" / "uploaded.json").write_text(owner)
    page = text_of(site, "/data")
    assert "uploaded by ben" in page
    assert "vqa upload STORE --as NAME" in page
    assert "<dt>Uploaded</dt><dd>by ben, <time" in text_of(site, "/data/scenes")


def test_what_learns_from_it_is_listed(site: Site, queued: Queued) -> None:
    job = queued(name="learner")
    assert f'href="/jobs/{job}">learner</a>' in text_of(site, "/data/scenes")


@pytest.mark.parametrize(("scheme", "size"), [("light", "wide"), ("dark", "phone")])
def test_for_everybody(
    site: Site,
    odd: str,
    look: Look,
    shoot: Callable[..., object],
    check_accessible: Callable[..., None],
    scheme: str,
    size: str,
) -> None:
    hardest = [(f"/data/{odd}", "odd")] if size == "phone" else []
    for path, name in (("/data", "data"), ("/data/scenes", "store"), *hardest):
        page = look(site, path, scheme=scheme, size=size)
        if name != "data":
            page.get_by_role("heading", name="Disk and memory").wait_for()
            page.locator(".plot").first.scroll_into_view_if_needed()
            page.locator(".plot .bars").first.wait_for()
        check_accessible(page)
        if name != "odd":
            shoot(page, f"{name}-{scheme}-{size}")


def test_shares_are_of_each_split_s_questions() -> None:
    told = {
        "labels": ["a", "<b>b</b> " + "y" * 50],
        "splits": {"train": [1, 2], "none": [0, 0]},
        "rest": {"train": 1, "none": 0},
    }
    assert shares(told) == {"train": [25.0, 50.0]}
    made = figure("answers", told)
    assert [one["x"] for one in made["data"]] == [[25.0, 50.0]]
    label = made["layout"]["yaxis"]["ticktext"][1]
    assert label.startswith("&lt;b&gt;b&lt;/b&gt; yyy")
    assert label.endswith("…")
    assert figure("words", told)["data"][0]["y"] == [25.0, 50.0]


def test_bytes_for_people() -> None:
    said = [bytes_text(count) for count in (None, 4_200_000)]
    assert said == ["–", "4.2 MB"]
