"""The Jobs page."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.server.pages.people import Site
from vqa.jobs.home import Home
from vqa.jobs.queue import Queue
from vqa.jobs.record import State

if TYPE_CHECKING:
    from playwright.sync_api import Page

Look = Callable[..., "Page"]
Queued = Callable[..., str]


def test_the_queue_keeps_itself_fresh(site: Site, look: Look, queued: Queued) -> None:
    page = look(site, "/jobs")
    page.get_by_text("No jobs yet.").wait_for()
    job = queued(name="first")
    page.get_by_role("link", name="first").wait_for()
    assert (
        page.get_by_role("rowheader").inner_text() == f"first {job}"
    )  # the commands ask for the id
    assert page.locator(".state").inner_text() == "queued"


def test_a_long_name_widens_neither_the_page_nor_the_table(
    site: Site, look: Look, queued: Queued, check_accessible: Callable[..., None]
) -> None:
    queued(State.FAILED, reason="no room for so_long_a_word_as_" + "x" * 60, name="x" * 120)
    page = look(site, "/jobs")
    page.get_by_role("button", name="Resume x").wait_for()
    check_accessible(page)
    wide, shown = page.locator(".scroll").evaluate("e => [e.scrollWidth, e.clientWidth]")
    assert wide <= shown


def test_cancel_and_resume(site: Site, home: Home, look: Look, queued: Queued) -> None:
    job = queued(name="first")
    page = look(site, "/jobs")
    page.get_by_role("button", name="Cancel first").click()
    page.get_by_role("button", name="Resume first").wait_for()
    assert Queue(home.queue_file).get(job).state is State.CANCELLED
    page.get_by_role("button", name="Resume first").click()
    page.get_by_role("button", name="Cancel first").wait_for()
    assert Queue(home.queue_file).get(job).state is State.QUEUED


def test_a_filter_chooses(site: Site, look: Look, queued: Queued) -> None:
    queued(name="mine", group="good")
    queued(name="other", state=State.FAILED, reason="it fell over")
    page = look(site, "/jobs")
    page.get_by_label("Group").fill("good")
    page.get_by_role("button", name="Filter").click()
    page.wait_for_url("**group=good**")
    assert page.get_by_role("link", name="mine").is_visible()
    assert page.get_by_role("link", name="other").count() == 0
    page.goto(f"{site.address}/jobs?state=failed")
    assert page.get_by_text("it fell over").is_visible()
    assert page.get_by_role("link", name="mine").count() == 0


def test_a_page_at_a_time(site: Site, look: Look, queued: Queued) -> None:
    for at in range(51):
        queued(name=f"job-{at}")
    page = look(site, "/jobs")
    assert page.get_by_role("link", name="job-0", exact=True).count() == 0
    page.get_by_role("link", name="Older").click()
    page.get_by_role("link", name="job-0", exact=True).wait_for()


@pytest.mark.parametrize(
    "query", ["state=gone", "before=x", "engine=none", "group=a%20b%2F", "prefix=%00"]
)
def test_a_filter_that_makes_no_sense(site: Site, query: str) -> None:
    headers = {"Authorization": f"Bearer {site.token}", "Accept": "text/html"}
    answer = httpx.get(f"{site.address}/jobs?{query}", headers=headers, trust_env=False)
    assert answer.status_code == 422
    assert query.split("=")[0] in answer.text


def test_who_may_only_read_sees_no_buttons(connect: Callable[..., object], queued: Queued) -> None:
    queued(name="first")
    for name, scope, buttons in (("eve", "read", 0), ("bob", "submit", 0), ("root2", "admin", 1)):
        answer = connect(name, scope).get("http://127.0.0.1:8000/jobs")  # type: ignore[attr-defined]
        assert answer.status_code == 200
        assert answer.text.count("Cancel first") == buttons


@pytest.mark.parametrize(("scheme", "size"), [("light", "wide"), ("dark", "phone")])
def test_for_everybody(
    site: Site,
    look: Look,
    queued: Queued,
    shoot: Callable[..., object],
    check_accessible: Callable[..., None],
    scheme: str,
    size: str,
) -> None:
    queued(name="first", group="good")
    for state in (State.RUNNING, State.SUCCEEDED, State.FAILED, State.LOST):
        queued(name=str(state), state=state, reason="as it is")
    page = look(site, "/jobs", scheme=scheme, size=size)
    page.get_by_role("link", name="first").wait_for()
    check_accessible(page)
    shoot(page, f"jobs-{scheme}-{size}")


def test_the_keyboard_reaches_what_the_mouse_does(site: Site, look: Look, queued: Queued) -> None:
    queued(name="first")
    page = look(site, "/jobs")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    reached = set()
    for _ in range(20):
        reached.add(page.evaluate("document.activeElement.id"))
        page.keyboard.press("Tab")
    assert any(one.startswith("cancel-") for one in reached)


def test_both_themes_by_hand(site: Site, look: Look) -> None:
    page = look(site, "/jobs", scheme="dark")
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.get_by_role("button", name="Switch between dark and light").click()
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert dark != light
    page.reload()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == light
