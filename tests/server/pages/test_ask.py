"""Ask: a picture, a question, one model or two; and pictures that are none."""

from __future__ import annotations

import base64
import io
import zlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.server.pages.people import Site, await_pictures
from vqa.data.store import Store
from vqa.export import load
from vqa.jobs.home import Home

if TYPE_CHECKING:
    from playwright.sync_api import Page

Look = Callable[..., "Page"]
Finished = tuple[Home, list[str]]


def png(size: tuple[int, int] = (32, 32)) -> bytes:
    made = io.BytesIO()
    Image.new("RGB", size, "red").save(made, "PNG")
    return made.getvalue()


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


@pytest.fixture
def client(finished_site: Site) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {finished_site.token}"}
    with httpx.Client(
        base_url=f"{finished_site.address}/api/v1", headers=headers, timeout=120, trust_env=False
    ) as made:
        yield made


def test_the_answer_is_the_model_s_own(client: httpx.Client, finished_home: Finished) -> None:
    home, (job, *_) = finished_home
    store = Store.open(home.stores / "scenes")
    example = store.example(int(store.rows("test")[0]))
    row = list(store.images["image_id"]).index(example.image_id)
    asked = {"job": job, "question": example.question, "choices": example.choices}
    model = load(home.run_dir(job))
    expected = model.ask(store.image_bytes(row), example.question, example.choices)
    for picture in (
        {"store": "scenes", "image_id": example.image_id},
        {"image": encoded(store.image_bytes(row))},
    ):
        said = client.post("/ask", json=asked | picture)
        assert said.status_code == 200, said.text
        body = said.json()
        assert body["answer"] == expected.answer
        assert body["confidence"] == pytest.approx(expected.confidence)
        assert [one["answer"] for one in body["top"]] == [text for text, _ in expected.top]
        assert body["words"] == expected.words
        assert len(body["glimpses"]) == 2
        glimpse = base64.b64decode(body["glimpses"][0].removeprefix("data:image/png;base64,"))
        assert np.asarray(Image.open(io.BytesIO(glimpse))).std() > 0


def test_without_choices_the_likeliest_answers(
    client: httpx.Client, finished_home: Finished
) -> None:
    job = finished_home[1][0]
    body = {"job": job, "question": "flurb the zzyx?", "image": encoded(png())}
    said = client.post("/ask", json=body).json()
    assert 1 < len(said["top"]) <= 10
    shares = [one["probability"] for one in said["top"]]
    assert shares == sorted(shares, reverse=True)
    assert [said["words"][place] for place in said["unknown"]] == ["[UNK]", "[UNK]"]


@pytest.mark.parametrize(
    ("fields", "status", "said"),
    [
        ({"image": "!!"}, 422, "base64"),
        ({"image": encoded(b"no picture at all")}, 422, "image"),
        ({"image": encoded(png()[:60])}, 422, "image"),
        ({"image": encoded(b"")}, 422, "image"),
        ({}, 422, "give image, or store and image_id"),
        ({"store": "scenes"}, 422, "go together"),
        ({"store": "scenes", "image_id": "none"}, 404, "no picture"),
        ({"store": "none", "image_id": "x"}, 404, "no store"),
        ({"store": "../scenes", "image_id": "x"}, 422, "store"),
        ({"image": encoded(png()), "choices": ["one"]}, 422, "one choice is no choice"),
        ({"image": encoded(png()), "choices": ["a", "a"]}, 422, "twice"),
        ({"image": encoded(png()), "question": " "}, 422, "question"),
        ({"image": encoded(png()), "question": "x" * 5000}, 422, "question"),
        ({"image": encoded(png()), "job": "deadbeef"}, 404, "deadbeef"),
        ({"image": encoded(png()), "job": "../../etc"}, 422, "job"),
    ],
)
def test_what_cannot_be_answered(
    client: httpx.Client,
    finished_home: Finished,
    fields: dict[str, Any],
    status: int,
    said: str,
) -> None:
    body = {"job": finished_home[1][0], "question": "what is it?"} | fields
    answer = client.post("/ask", json=body)
    assert (answer.status_code, said in answer.text) == (status, True), answer.text
    assert str(finished_home[0].path) not in answer.text


def test_a_picture_that_says_it_is_huge(client: httpx.Client, finished_home: Finished) -> None:
    made = bytearray(png())
    made[16:24] = (60_000).to_bytes(4, "big") * 2  # width and height of the header
    made[29:33] = zlib.crc32(bytes(made[12:29])).to_bytes(4, "big")
    body = {"job": finished_home[1][0], "question": "what?", "image": encoded(bytes(made))}
    answer = client.post("/ask", json=body)
    assert answer.status_code == 422
    assert "pixels" in answer.text


def test_a_large_picture_may_come_and_a_huge_body_may_not(
    client: httpx.Client, finished_home: Finished
) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (1500, 1500, 3), dtype=np.uint8)
    made = io.BytesIO()
    Image.fromarray(noise).save(made, "PNG")
    assert len(made.getvalue()) > 5_000_000
    body = {"job": finished_home[1][0], "question": "what?", "image": encoded(made.getvalue())}
    assert client.post("/ask", json=body).status_code == 200
    assert client.post("/ask", json=body | {"image": "A" * (25 << 20)}).status_code == 413


def test_two_models_answer_beside_each_other(
    finished_site: Site,
    finished_home: Finished,
    look: Look,
    shoot: Callable[..., object],
    check_accessible: Callable[..., None],
) -> None:
    first, _, other, _ = finished_home[1]
    page = look(finished_site, f"/ask/any?store=scenes&a={first}&b={other}")
    assert page.get_by_label("Question").input_value()
    page.get_by_role("button", name="Ask", exact=True).click()
    page.locator("#answers article").nth(1).wait_for()
    assert page.locator("#answers h2").all_inner_texts() == ["multiply.s0", "concat.s0"]
    pictures = page.locator("#answers img")
    pictures.nth(3).scroll_into_view_if_needed()
    assert pictures.count() == 4
    await_pictures(page, "#answers img", 4)
    page.get_by_text("The right answer").click()
    assert page.locator("#right b").is_visible()
    check_accessible(page)
    shoot(page, "ask")


def test_a_picture_of_one_s_own(
    finished_site: Site,
    look: Look,
    shoot: Callable[..., object],
    check_accessible: Callable[..., None],
) -> None:
    page = look(finished_site, "/ask", scheme="dark", size="phone")
    page.get_by_role("button", name="Ask", exact=True).click()
    page.get_by_text("choose a picture").wait_for()
    page.get_by_label("Picture", exact=True).set_input_files(
        {"name": "<b>mine</b>.png", "mimeType": "image/png", "buffer": png()}
    )
    page.locator("#preview").wait_for()
    page.get_by_label("Question").fill("<script>alert(1)</script> what colour?")
    page.get_by_role("button", name="Ask", exact=True).click()
    page.locator("#answers article").wait_for()
    assert page.locator("#answers mark").count() > 0
    page.get_by_label("Picture", exact=True).set_input_files(
        {"name": "x.png", "mimeType": "image/png", "buffer": b"junk"}
    )
    page.get_by_role("button", name="Ask", exact=True).click()
    page.get_by_text("image").last.wait_for()
    check_accessible(page)
    shoot(page, "ask-dark-phone")


def test_an_example_of_a_store_without_a_model_yet(site: Site, look: Look) -> None:
    page = look(site, "/ask")
    assert page.get_by_text("No finished run has a model yet.").is_visible()
