"""The Ask page."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from PIL import Image

from tests.server.pages.people import Site
from vqa.data.store import Store
from vqa.jobs.home import Home
from vqa.server.pages.ask import UNSEEN

if TYPE_CHECKING:
    from playwright.sync_api import Page

Look = Callable[..., "Page"]
Queued = Callable[..., str]
Finished = tuple[Home, list[str]]


def text_of(site: Site, path: str, status: int = 200) -> str:
    headers = {"Authorization": f"Bearer {site.token}", "Accept": "text/html"}
    answer = httpx.get(
        site.address + path, headers=headers, trust_env=False, timeout=30, follow_redirects=True
    )
    assert answer.status_code == status
    return answer.text


def png(colour: str = "red") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (64, 48), colour).save(buffer, "PNG")
    return buffer.getvalue()


def test_an_example_is_put_to_two_models(
    finished_site: Site, finished_home: Finished, look: Look
) -> None:
    home, (multiply, _, concat, _) = finished_home
    store = Store.open(home.stores / "scenes")
    example = store.example(int(store.rows("test")[0]))
    query = f"a={multiply}&b={concat}&store=scenes&question_id={example.question_id}"
    page = look(finished_site, f"/ask?{query}")
    assert page.get_by_label("What do you want to know?").input_value() == example.question
    right = example.choices[example.label] if example.choices else example.answers[0]
    assert right in page.locator("#truth").inner_text()
    page.get_by_role("button", name="Ask", exact=True).click()
    cards = page.locator("article.reply:not([aria-busy])")
    cards.nth(1).wait_for()
    assert [name.split()[0] for name in cards.locator("h3").all_inner_texts()] == [
        "multiply.s0",
        "concat.s0",
    ]
    for place in (0, 1):
        card = cards.nth(place)
        said = card.locator(".said bdi").inner_text()
        assert card.locator(".good, .bad").first.inner_text() == (
            "✓ right" if said == right else "✗ wrong"
        )
        assert card.locator(".options li").first.inner_text().startswith(said)
        assert card.locator(".glimpses img").count() == 3  # the picture and two glimpses
        assert "most in row" in card.locator("figcaption").nth(1).inner_text()
        assert card.get_by_text("The model knows every word").is_visible()
    assert page.locator("#verdict").inner_text().startswith(("Both say", "They differ"))


def test_a_file_unknown_words_and_choices(
    finished_site: Site, finished_home: Finished, look: Look, tmp_path: Path
) -> None:
    file = tmp_path / "<b>red.png"
    file.write_bytes(png())
    page = look(finished_site, "/ask")
    ask = page.get_by_role("button", name="Ask", exact=True)
    ask.click()
    page.get_by_text("A picture is needed").wait_for()
    page.get_by_label("Drop a picture here").set_input_files(file)
    assert page.locator("#file-name").inner_text() == "<b>red.png"
    page.locator("#preview").wait_for()
    ask.click()
    page.get_by_text("A question is needed.").wait_for()
    page.get_by_label("What do you want to know?").fill("what <i>xyzzy</i> is it?")
    page.get_by_role("button", name="Add a choice").click()
    page.keyboard.type("red")
    ask.click()
    page.get_by_text("One choice is no choice").wait_for()
    page.get_by_label("Choice 1", exact=True).focus()
    page.keyboard.press("Enter")  # another one, without the mouse
    page.keyboard.type("<script>alert(1)</script>")
    ask.click()
    card = page.locator("article.reply:not([aria-busy])")
    card.get_by_text("It cannot say: <script>alert(1)</script>").wait_for()
    assert card.locator(".said bdi").inner_text() == "red"
    assert "xyzzy unknown" in card.locator(".read").inner_text().replace("\n", " ")
    page.get_by_role("button", name="Remove choice 2").click()
    page.get_by_role("button", name="Remove choice 1").click()
    assert page.evaluate("document.activeElement.id") == "add-choice"
    ask.click()
    card.locator(".options li").nth(2).wait_for()


DROP = """([data, type, name]) => {
  const bytes = Uint8Array.from(atob(data), (one) => one.charCodeAt(0));
  const moved = new DataTransfer();
  moved.items.add(new File([bytes], name, { type }));
  return moved;
}"""


def test_pictures_are_dropped_and_pasted(finished_site: Site, look: Look) -> None:
    page = look(finished_site, "/ask?store=scenes")
    assert page.locator("#truth").is_visible()
    sent = [base64.b64encode(png()).decode(), "image/png", "dropped.png"]
    page.dispatch_event("#drop", "drop", {"dataTransfer": page.evaluate_handle(DROP, sent)})
    page.get_by_text("dropped.png").wait_for()
    assert page.locator("#truth").count() == 0  # it was of another picture
    assert "store=" not in page.url
    sent[2] = "pasted.png"
    page.evaluate(
        f"""(sent) => document.dispatchEvent(new ClipboardEvent("paste",
            {{ clipboardData: ({DROP})(sent), bubbles: true }}))""",
        sent,
    )
    page.get_by_text("pasted.png").wait_for()


def test_a_file_that_is_no_picture_is_refused_in_words(
    finished_site: Site, look: Look, tmp_path: Path
) -> None:
    file = tmp_path / "page.png"
    file.write_bytes(b"<html>")
    page = look(finished_site, "/ask")
    page.get_by_label("Drop a picture here").set_input_files(file)
    page.get_by_text("this browser cannot show it").wait_for()
    page.get_by_label("What do you want to know?").fill("what?")
    page.keyboard.press("Enter")
    page.get_by_text("not a PNG, JPEG, WebP, GIF, BMP or TIFF image").wait_for()


def test_after_a_picture_that_is_too_large_nothing_is_asked_about_the_one_before(
    finished_site: Site, look: Look, tmp_path: Path
) -> None:
    (tmp_path / "large.png").write_bytes(bytes(18_000_000))
    page = look(finished_site, "/ask?store=scenes")
    page.get_by_label("Drop a picture here").set_input_files(tmp_path / "large.png")
    page.get_by_text("large.png: 18 MB, and 17 MB is the most").wait_for()
    assert not page.locator("#preview").is_visible()
    assert page.locator("#truth").count() == 0
    page.get_by_role("button", name="Ask").click()
    page.get_by_text("A picture is needed").wait_for()
    assert not page.locator("#answers").is_visible()


def test_the_address_names_what_is_chosen(
    finished_site: Site, finished_home: Finished, look: Look
) -> None:
    _, jobs = finished_home
    page = look(finished_site, "/ask")
    page.get_by_label("Model B").select_option(jobs[3])
    assert page.url.endswith(f"b={jobs[3]}")
    page.get_by_role("button", name="Any example").click()
    page.wait_for_url("**question_id=**")
    assert f"b={jobs[3]}" in page.url
    assert page.get_by_label("Model B").input_value() == jobs[3]


def test_the_best_run_of_the_newest_group_comes_first(
    finished_site: Site, finished_home: Finished
) -> None:
    from vqa.jobs.local_service import LocalService
    from vqa.server.api.dependencies import Caller
    from vqa.server.pages.ask import choose_runs
    from vqa.server.tokens import Tokens

    home, jobs = finished_home
    token = Tokens(home).find(finished_site.token)
    assert token is not None
    runs = choose_runs(Caller(token, LocalService(home, "ann")), second="nothing")
    scores = [job.overall or 0.0 for job in runs.groups["fusion"]]
    assert scores == sorted(scores, reverse=True)
    assert set(jobs) == {job.id for job in runs.groups["fusion"]}
    assert runs.chosen == (runs.groups["fusion"][0].id, "")
    assert runs.faults == ["nothing: no job 'nothing'"]


def test_any_example_is_one_that_was_not_learnt_from(finished_site: Site) -> None:
    assert "val" in UNSEEN
    assert "· <bdi>val</bdi>" in text_of(finished_site, "/ask?store=scenes")


def test_what_is_not_there(finished_site: Site, site: Site, queued: Queued) -> None:
    assert "Not found" in text_of(finished_site, "/ask?store=nowhere", 404)
    assert "Not found" in text_of(finished_site, "/ask?store=scenes&question_id=%3Cb%3E", 404)
    shown = text_of(finished_site, "/ask?a=%3Cscript%3E&b=..%2F..%2Fetc")
    assert "<script>:" not in shown
    assert "no job" in shown
    empty = text_of(site, "/ask")
    assert "No finished run yet" in empty
    assert "vqa submit" in empty
    job = queued(name="waits")
    assert "waits: has no model (queued)" in text_of(site, f"/ask?a={job}")


@pytest.mark.parametrize(("scheme", "size"), [("light", "wide"), ("dark", "phone")])
def test_for_everybody(
    finished_site: Site,
    finished_home: Finished,
    look: Look,
    shoot: Callable[..., object],
    check_accessible: Callable[..., None],
    scheme: str,
    size: str,
) -> None:
    _, jobs = finished_home
    page = look(
        finished_site, f"/ask?store=scenes&b={jobs[0]}&a={jobs[2]}", scheme=scheme, size=size
    )
    page.get_by_label("What do you want to know?").fill("what plugh is it?")
    page.get_by_role("button", name="Ask", exact=True).click()
    page.locator("article.reply:not([aria-busy])").nth(1).wait_for()
    check_accessible(page)
    shoot(page, f"ask-{scheme}-{size}")
