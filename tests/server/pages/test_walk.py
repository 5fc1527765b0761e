"""What people come for, in one walk with a real server, real jobs and a real browser: an ablation is submitted from
the page, watched to its end, read, and one of its models is asked."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.server.pages.people import Site, await_pictures
from vqa.jobs.home import Home
from vqa.server.codes import Codes

if TYPE_CHECKING:
    from playwright.sync_api import Page

PATIENCE = 240_000
"""Milliseconds; four trainings on a machine that others use."""

PROGRAM = """
import sys; from pathlib import Path; from vqa.jobs.home import Home; from vqa.server.serve import serve
serve(Home(Path(sys.argv[1])), port=0)
"""


@pytest.fixture
def served(home: Home) -> Iterator[Site]:
    """A server in a process of its own, with its dispatcher."""
    words = [sys.executable, "-c", PROGRAM, str(home.path)]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr
            found = re.search(r"http://127\.0\.0\.1:\d+", process.stderr.readline())
            assert found
            yield Site(found[0], home, Codes())
        finally:
            process.terminate()
            process.communicate(timeout=60)


@pytest.mark.timeout(600)
def test_from_a_form_to_an_answer(
    served: Site,
    look: Callable[..., Page],
    shoot: Callable[..., Path],
    check_accessible: Callable[[Page], None],
) -> None:
    page = look(served, "/submit?store=scenes")
    fill_in(page)
    page.get_by_role("button", name="See what it makes").click()
    page.get_by_role("heading", name="4 jobs in group walk").wait_for()
    page.locator("form#submit").get_by_role("button", name="Submit").click()
    page.wait_for_url("**/ablations/walk")

    page.get_by_text("4 succeeded").wait_for(timeout=PATIENCE)
    names = page.locator("table.figures tbody th")
    names.filter(has_text="multiply").wait_for(timeout=PATIENCE)  # tests come after the means
    page.locator(".claims li", has_text="multiply").first.wait_for(timeout=PATIENCE)
    assert {one.split()[0] for one in names.all_inner_texts()} == {"concat", "multiply", "chance"}
    page.locator(".plot[data-figure] .main-svg").first.wait_for(timeout=PATIENCE)  # drawn anew
    check_accessible(page)
    shoot(page, "walk-ablation")

    page.locator("table.figures .seeds a").first.click()
    page.wait_for_url("**/jobs/*")
    page.locator("#browser").scroll_into_view_if_needed()  # below the curves: read once it is seen
    page.get_by_role("heading", level=3).filter(has_text="?").first.wait_for()
    page.locator("[id^=prediction-]").first.click()
    attention = page.get_by_alt_text("Attention of glimpse 1 over the picture")
    attention.scroll_into_view_if_needed(timeout=PATIENCE)
    await_pictures(page, ".glimpses img", 2)
    check_accessible(page)
    shoot(page, "walk-prediction")

    page.get_by_role("link", name="Ask", exact=True).first.click()
    page.get_by_role("button", name="Any example").click()
    page.get_by_role("button", name="Ask", exact=True).click()
    answer = page.locator("article.reply:not([aria-busy])")
    answer.wait_for(timeout=PATIENCE)
    assert answer.locator(".said bdi").inner_text()
    await_pictures(page, "article.reply .glimpses img", 3)  # the picture and two glimpses
    shoot(page, "walk-ask")


def fill_in(page: Page) -> None:
    """Two fusions under attention, two seeds, a model that learns in seconds."""
    page.get_by_role("textbox", name="Group").fill("walk")
    page.locator('[data-path="data.image_size"] input[data-value]').fill("16")
    page.get_by_label("Compare values of model.fusion", exact=True).check()
    values = page.get_by_role("group", name="Values of model.fusion", exact=True)
    values.get_by_label("concat", exact=True).check()
    page.locator('[data-path="model.attention"] select[data-value]').select_option("soft")
    page.get_by_text("Settings of soft").click()
    page.locator('[data-path="model.attention.glimpses"]:visible input[data-value]').fill("2")
    page.get_by_text("trainer Lightning's own names").click()
    page.locator('[data-path="trainer.max_epochs"] input[data-value]').fill("2")
    page.get_by_text("Priority and machine").click()
    page.get_by_label("Cores").fill("1")
    page.get_by_label("Seeds").fill("2")
    for name in ("question-only", "image-only"):
        page.get_by_label(name).uncheck()
