"""The way in."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import quote

import httpx
import pytest

from tests.server.pages.people import Site
from vqa.server.codes import Codes

if TYPE_CHECKING:
    from playwright.sync_api import Page

Look = Callable[..., "Page"]


def test_a_token_lets_in_and_leads_on(site: Site, look: Look) -> None:
    page = look(site, "/jobs?state=queued", signed_in=False)
    assert page.url == f"{site.address}/login?next=" + quote("/jobs?state=queued", safe="")
    page.get_by_label("Token").fill("vqa_wrong")
    page.get_by_role("button", name="Sign in").click()
    page.get_by_text("no valid token").wait_for()
    page.get_by_label("Token").fill(site.token)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{site.address}/jobs?state=queued")
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/login")
    page.goto(f"{site.address}/jobs")
    assert "/login" in page.url


def test_a_field_is_at_fault_only_once_somebody_has_typed(site: Site, look: Look) -> None:
    page = look(site, "/login", signed_in=False)
    field = page.get_by_label("Token")
    colour = "field => getComputedStyle(field).borderColor"
    before = field.evaluate(colour)
    field.fill("x")
    assert field.evaluate(colour) == before
    field.fill("")
    field.blur()
    assert field.evaluate(colour) != before


def test_a_code_lets_in_once(site: Site, look: Look) -> None:
    code = site.codes.new()
    page = look(site, f"/login#{code}", signed_in=False)
    page.wait_for_url(f"{site.address}/jobs")
    again = look(site, f"/login#{code}", signed_in=False)
    again.get_by_text("the code was used, or is too old").wait_for()
    assert code not in again.url


@pytest.mark.parametrize(
    "wanted", ["https://example.org/", "//example.org/", "/\\example.org", "javascript:alert(1)"]
)
def test_the_way_on_stays_here(site: Site, look: Look, wanted: str) -> None:
    page = look(site, f"/login?next={quote(wanted)}")
    page.wait_for_url(f"{site.address}/jobs")


def test_a_code_that_is_too_old(tmp_path) -> None:
    (tmp_path / "token").write_text("vqa_x\n")
    codes = Codes(tmp_path / "token", life_seconds=0.0)
    assert codes.redeem(codes.new()) is None
    assert Codes(tmp_path / "token").redeem("made up") is None
    fresh = Codes(tmp_path / "token")
    assert fresh.redeem(fresh.new()) == "vqa_x"


def test_in_the_dark_and_on_a_phone(
    site: Site, look: Look, shoot: Callable[..., object], check_accessible: Callable[..., None]
) -> None:
    for scheme, size in (("dark", "phone"), ("light", "wide")):
        page = look(site, "/login", signed_in=False, scheme=scheme, size=size)
        check_accessible(page)
        shoot(page, f"login-{scheme}")


def test_programs_are_told_and_not_led(site: Site) -> None:
    with httpx.Client(base_url=site.address, trust_env=False) as client:
        assert client.get("/jobs").status_code == 401
        assert client.get("/api/v1/jobs", headers={"Accept": "text/html"}).status_code == 401
        asked = client.get("/jobs", headers={"Accept": "text/html"})
        assert (asked.status_code, asked.headers["location"]) == (303, "/login?next=%2Fjobs")


def test_assets_are_open_named_and_kept(site: Site) -> None:
    with httpx.Client(base_url=site.address, trust_env=False) as client:
        style = client.get("/static/any/style.css")
        assert style.headers["cache-control"].endswith("immutable")
        for name in ("nothing.css", "..%2fapp.py", "../app.py", "%2e%2e"):
            assert client.get(f"/static/any/{name}").status_code in (401, 404, 422)


def test_a_page_that_is_not_there_says_so(site: Site, look: Look) -> None:
    page = look(site, "/jobs/nothing-like-it")
    assert page.get_by_role("heading", name="Not found").is_visible()
