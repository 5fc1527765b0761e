"""The Ablation page of a group whose runs are of several users."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.ablation.runs import run_job
from tests.server.pages.people import Site
from vqa.jobs.queue import Queue

if TYPE_CHECKING:
    from playwright.sync_api import Page

SECONDS = 60.0


def page_of(site: Site, jobs: Sequence[tuple[str, str, int, float | None]]) -> str:
    """The page of a group of these jobs, once they are compared; user, fusion, seed and rate of each."""
    queue = Queue(site.home.queue_file)
    for job in jobs:
        run_job(site.home, queue, *job)
    headers = {"Authorization": f"Bearer {site.token}", "Accept": "text/html"}
    deadline = time.monotonic() + SECONDS
    with httpx.Client(base_url=site.address, headers=headers, trust_env=False) as client:
        while client.get("/api/v1/groups/g/study").status_code == 202:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        return client.get("/ablations/g").text


def test_it_says_whose_runs_are(site: Site) -> None:
    jobs = [("ann", "concat", 0, 0.5), ("ben", "multiply", 0, 0.7), ("cleo", "sum", 0, None)]
    text = page_of(site, jobs)
    assert '<th scope="col">By</th>' in text
    assert '<td title="ben">ben</td>' in text
    assert "sum, seed 0</a> by cleo:" in text


def test_names_that_differ_in_case_alone_are_two(site: Site) -> None:
    text = page_of(site, [("Ann", "a", 0, 0.5), ("ann", "a", 1, 0.5), ("ann", "b", 0, 0.7)])
    assert '<td title="Ann, ann">Ann, ann</td>' in text


def test_of_one_user_there_is_no_such_column(site: Site) -> None:
    text = page_of(site, [("ann", "concat", 0, 0.5), ("ann", "multiply", 0, 0.7)])
    assert ">By<" not in text


def test_nobody_is_told_that_every_run_counts_where_a_later_one_took_its_place(site: Site) -> None:
    jobs = [("ann", "concat", 0, 0.5), ("ben", "concat", 0, 0.5), ("ann", "multiply", 0, 0.7)]
    text = page_of(site, jobs)
    assert "of ann" in text  # the note
    assert "every run of the group" not in text
    assert "every variant and seed of the group" in text


@pytest.mark.parametrize(("scheme", "size"), [("light", "wide"), ("dark", "small")])
def test_best_scores_for_everybody(
    site: Site,
    look: Callable[..., Page],
    check_accessible: Callable[[Page], None],
    scheme: str,
    size: str,
) -> None:
    queue = Queue(site.home.queue_file)
    for job in (("ann", "concat", 0, 0.5), ("ben" * 20, "multiply", 0, 0.7)):
        run_job(site.home, queue, *job)
    page = look(site, "/jobs?group=g", scheme=scheme, size=size)
    page.get_by_role("link", name="Best of each user").click()
    page.get_by_role("heading", name="Best of each user").wait_for()
    assert page.locator("tbody th").all_inner_texts() == ["ben" * 20, "ann"]
    check_accessible(page)


@pytest.mark.parametrize(("seeds", "said"), [(1, True), (2, False)])
def test_a_difference_of_single_runs_is_not_passed_off_as_one_of_variants(
    site: Site, seeds: int, said: bool
) -> None:
    jobs = [
        ("ann", name, seed, rate)
        for name, rate in (("a", 0.4), ("b", 0.8))
        for seed in range(seeds)
    ]
    text = page_of(site, jobs)
    assert ">Yes<" in text
    assert ("of these runs alone: another seed may say otherwise" in text) == said


def test_of_equals_no_size_is_said_that_would_have_been_found(site: Site) -> None:
    text = page_of(site, [("ann", "concat", 0, 0.5), ("ann", "multiply", 0, 0.5)])
    assert "they score alike on every image" in text
    assert "would have found" not in text
