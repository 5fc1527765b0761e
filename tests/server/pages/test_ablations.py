"""The Ablation pages."""

from __future__ import annotations

import itertools
import json
import re
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.ablation.runs import BASE, fail_run, make_run
from tests.server.pages.people import Site, until
from vqa.config import parse_experiment
from vqa.jobs.home import Home
from vqa.jobs.queue import Queue
from vqa.jobs.record import Filter, State, Submission
from vqa.server.pages.layout import TEMPLATES, environment, figure_text

if TYPE_CHECKING:
    from playwright.sync_api import Page

Look = Callable[..., "Page"]
SECONDS = 60.0
HOSTILE = "<script>alert(1)</script>\"'&"
RTL = "\u202eevil"


class Group:
    """The group `g`, whose jobs end as they are told."""

    def __init__(self, home: Home, name: str = "g") -> None:
        self.home, self.name, self.queue = home, name, Queue(home.queue_file)

    def add(
        self,
        variant: str,
        seed: int = 0,
        rate: float | None = None,
        state: State = State.SUCCEEDED,
        user: str = "ann",
        tags: Sequence[str] = (),
        **changes: Any,
    ) -> str:
        tags = [f"variant={variant}", f"model.fusion={variant}", *tags]
        given = {**BASE, "seed": seed, "tracking": {"tags": tags}}
        fields = parse_experiment(given).to_dict()
        job, _ = self.queue.submit(
            Submission(
                fields, user, f"{user}-{seed}", group=self.name, key=f"{self.name}.{variant}{seed}"
            )
        )
        if state is State.QUEUED:
            return job.id
        claimed = self.queue.claim(job)
        assert claimed is not None
        run = self.home.run_dir(job.id)
        if rate is not None:
            make_run(run, fields, rate, **changes)
            records = [{"step": step, "val/accuracy": 50 * rate + step} for step in range(5)]
            (run / "metrics.jsonl").write_text("".join(json.dumps(one) + "\n" for one in records))
        elif state is State.FAILED:
            fail_run(run, fields, str(changes.get("reason", "it broke")))
        self.queue.move(claimed, state, str(changes.get("reason", "")))
        return job.id


@pytest.fixture
def group(home: Home) -> Group:
    return Group(home)


def get(site: Site, path: str) -> httpx.Response:
    headers = {"Authorization": f"Bearer {site.token}", "Accept": "text/html"}
    return httpx.get(site.address + path, headers=headers, trust_env=False, timeout=SECONDS)


def until_ready(site: Site, group: str, query: str = "") -> httpx.Response:
    deadline = time.monotonic() + SECONDS
    while (answer := get(site, f"/api/v1/groups/{group}/study{query}")).status_code == 202:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return answer


@pytest.fixture
def ready_site(finished_site: Site) -> Site:
    assert until_ready(finished_site, "fusion").status_code == 200
    return finished_site


def test_one_walk(ready_site: Site, look: Look) -> None:
    page = look(ready_site, "/ablations")
    page.get_by_role("link", name="fusion").click()
    page.get_by_role("heading", name="fusion").wait_for()
    study = until_ready(ready_site, "fusion").json()
    ranked = sorted(study["variants"], key=lambda row: -row["mean"])
    assert page.locator(".verdict .big").first.inner_text() == ranked[0]["name"]
    rows = page.locator("#part-table tbody th")
    assert rows.all_inner_texts()[0].startswith(ranked[0]["name"])
    page.locator("#part-dots .js-plotly-plot").wait_for()

    page.get_by_role("button", name="Variant").click()
    page.wait_for_url("**sort=variant*")
    page.locator('th[aria-sort="ascending"]').wait_for()
    assert rows.first.inner_text().startswith("concat")
    assert page.evaluate("document.activeElement.id") == "sort-variant"

    page.get_by_label("Runs").select_option("1")
    page.wait_for_url("**seed=1*")
    only = page.locator("#side-b b")
    only.wait_for()
    page.locator("#side-b").click()
    page.locator('#side-b[aria-pressed="true"]').wait_for()
    shared = page.url
    assert {"sort=variant", "seed=1", "side=b"} <= set(shared.split("?")[1].split("&"))
    count, table = only.inner_text(), rows.all_inner_texts()

    again = look(ready_site, shared.removeprefix(ready_site.address))
    assert again.locator("#side-b b").inner_text() == count
    assert again.locator("#part-table tbody th").all_inner_texts() == table
    page.go_back()
    page.locator('#side-a[aria-pressed="true"]').wait_for()
    page.locator("#part-curves .js-plotly-plot").scroll_into_view_if_needed()
    page.locator("#curve-figures summary").click()
    page.locator("#curve-figures tbody th").first.wait_for()


def test_questions_have_their_pictures(ready_site: Site, look: Look) -> None:
    page = look(ready_site, "/ablations/fusion?a=multiply&b=concat&seed=0")
    cards = page.locator("#part-questions article")
    count = int(page.locator("#side-a b").inner_text())
    assert cards.count() == min(8, count)
    if count:
        cards.first.scroll_into_view_if_needed()
        until(page, "document.querySelector('article img').naturalWidth > 0")
        assert "✓ 100" in cards.first.inner_text()


def test_another_baseline_comes_by_itself(ready_site: Site, look: Look) -> None:
    page = look(ready_site, "/ablations/fusion")
    page.wait_for_timeout(2500)  # nothing will change by itself any more, so nobody asks
    page.get_by_label("Baseline").select_option("concat")
    page.wait_for_url("**baseline=concat*")
    page.locator("#part-table tr", has_text="concat").get_by_text("baseline").wait_for()
    assert page.locator("#part-claims li").first.is_visible()


def test_beside_every_corrected_p_it_is_said_that_intervals_are_not(
    site: Site, group: Group
) -> None:
    for rate, variant in enumerate(("concat", "multiply", "sum"), 3):
        for seed in range(2):
            group.add(variant, seed, rate / 10, tags=["model.attention=none"])
    until_ready(site, "g")
    told = get(site, "/ablations/g").text
    assert told.count("each interval is of its test alone") == told.count("p is Holm's over") == 2
    assert told.count("Behind a difference, ± is") == 1
    assert "No difference found in" not in told
    group.add("sum", 2, state=State.QUEUED)
    later = get(site, "/ablations/g").text
    assert ("so far?" in told, "so far?" in later) == (False, True)
    assert "The answer is that of all runs" in later


@pytest.mark.parametrize(("found", "level"), [(1, 8), (1, 9), (0, 9)])
def test_many_tests_that_found_nothing_stand_behind_their_number(found: int, level: int) -> None:
    templates = environment(TEMPLATES)
    templates.filters["figure"] = figure_text
    tests = [{"adjusted_p_value": 0.01, "sentence": "a beats b"}] * found
    tests += [{"adjusted_p_value": 0.05, "sentence": "no difference"}] * level
    text = str(templates.get_template("ablation_parts.html.j2").module.claimed(tests, "x"))  # type: ignore[attr-defined]
    before, _, behind = text.partition("<details")
    assert (text.count("a beats b"), text.count("<li")) == (found, found + level)
    assert before.count("<li") == (found if level > 8 else found + level)
    assert (f"in {level} of {found + level} comparisons" in behind) == (level > 8)
    assert '<ul class="claims"></ul>' not in text


@pytest.mark.parametrize(("scheme", "size"), [("light", "wide"), ("dark", "phone")])
def test_for_everybody(
    ready_site: Site,
    look: Look,
    shoot: Callable[..., object],
    check_accessible: Callable[..., None],
    scheme: str,
    size: str,
) -> None:
    page = look(ready_site, "/ablations/fusion", scheme=scheme, size=size)
    for part in ("dots", "types", "curves"):
        page.locator(f"#part-{part}").scroll_into_view_if_needed()
        page.locator(f"#part-{part} .js-plotly-plot").wait_for()
    check_accessible(page)
    page.evaluate("scrollTo(0, 0)")
    shoot(page, f"ablation-{scheme}-{size}")
    page.goto(f"{ready_site.address}/ablations")
    check_accessible(page)
    shoot(page, f"ablations-{scheme}-{size}")


def test_a_group_that_fills_while_somebody_looks(site: Site, group: Group, look: Look) -> None:
    group.add("concat", 0, 0.5)
    group.add("multiply", 0, state=State.RUNNING)
    page = look(site, "/ablations/g")
    page.get_by_text("1 of 2 runs have ended").wait_for()
    assert page.locator(".verdict .big").first.inner_text() == "concat"
    assert page.get_by_text("Highest mean", exact=True).is_visible()
    assert page.locator("#part-table .state.succeeded").count() == 0
    assert page.locator("#part-claims").get_by_text("is running").is_visible()
    job = Queue(site.home.queue_file).find(Filter(states=(State.RUNNING,)))[0]
    make_run(site.home.run_dir(job.id), job.submission.experiment, 0.8)
    group.queue.move(job, State.SUCCEEDED)
    page.get_by_text("multiply beats concat").first.wait_for(timeout=1000 * SECONDS)
    assert page.locator(".verdict .yes .big").inner_text() == "Yes"
    assert page.get_by_text("Best variant", exact=True).is_visible()
    assert page.locator("#part-table .state.succeeded").inner_text() == "best"


def test_what_is_left_out_and_hostile_names(site: Site, group: Group, look: Look) -> None:
    for seed in (0, 1):
        group.add(HOSTILE, seed, 0.7, types=(HOSTILE, RTL))
        group.add(RTL, seed, 0.4, types=(HOSTILE, RTL))
    group.add("third", 0, state=State.FAILED, reason=f"broke in {HOSTILE}")
    until_ready(site, "g")
    page = look(site, "/ablations/g")
    assert page.locator(".verdict .big").first.inner_text() == HOSTILE
    assert f"broke in {HOSTILE}" in page.locator(".out").inner_text()
    page.locator("#part-types").scroll_into_view_if_needed()
    page.locator("#part-types .js-plotly-plot").wait_for()
    page.get_by_role("link", name="Test all against").or_(
        page.get_by_label("Baseline")
    ).first.wait_for()
    page.get_by_label("Baseline").select_option(HOSTILE)
    page.locator("#part-table th", has_text=HOSTILE).get_by_text("baseline").wait_for(
        timeout=1000 * SECONDS
    )
    assert page.locator("script:not([src])").count() == 0


def test_retry_and_cancel(site: Site, group: Group, look: Look) -> None:
    failed = group.add("concat", 0, state=State.FAILED)
    waiting = group.add("multiply", 0, state=State.QUEUED)
    page = look(site, "/ablations/g")
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Retry 1 failed").click()
    page.get_by_role("button", name="Cancel 2 remaining").click()
    page.get_by_text("2 of 2 runs have ended").wait_for()
    for job in (failed, waiting):
        assert group.queue.get(job).state is State.CANCELLED


@pytest.mark.parametrize("states", [(State.FAILED,), (State.FAILED, State.FAILED), (State.QUEUED,)])
def test_nothing_to_compare(site: Site, group: Group, states: tuple[State, ...]) -> None:
    for seed, state in enumerate(states):
        group.add("concat", seed, state=state, reason="it broke")
    answer = get(site, "/ablations/g")
    assert answer.status_code == 200
    assert "it broke" in answer.text or State.QUEUED in states
    settled = until_ready(site, "g")
    assert settled.status_code == 409
    assert "two variants" in settled.json()["detail"]


def test_one_run(site: Site, group: Group) -> None:
    group.add("concat", 0, 0.5)
    assert until_ready(site, "g").status_code == 409
    text = get(site, "/ablations/g").text
    assert "needs two variants" in text
    assert "50.00" in text
    assert str(site.home.path) not in text


def test_runs_of_different_protocols(site: Site, group: Group) -> None:
    group.add("concat", 0, 0.5)
    group.add("multiply", 0, 0.8, protocol="exact/1")
    refused = until_ready(site, "g")
    assert refused.status_code == 409
    assert str(site.home.path) not in refused.text
    text = get(site, "/ablations/g").text
    assert "protocol differs" in text
    assert '<option value="exact/1"' in text
    assert (
        until_ready(site, "g", "?protocol=multiple-choice/1").json()["protocol"]
        == "multiple-choice/1"
    )


@pytest.mark.parametrize(
    "path",
    [
        "/ablations/nothing",
        "/ablations/g?baseline=nothing",
        "/ablations/g?split=..%2F..",
        "/ablations/g?protocol=x",
    ],
)
def test_what_is_not_there(site: Site, group: Group, path: str) -> None:
    group.add("concat", 0, 0.5)
    answer = get(site, path)
    assert answer.status_code == 404
    assert "<html" in answer.text


@pytest.mark.parametrize("query", ["seed=x", "start=-1", "kind=none", "side=c", "a=" + "x" * 201])
def test_choices_that_make_no_sense(site: Site, group: Group, query: str) -> None:
    group.add("concat", 0, 0.5)
    assert get(site, f"/ablations/g?{query}").status_code == 422


@pytest.mark.parametrize(
    "query",
    [
        "sort=nothing",
        "sort=q.nothing",
        "show=nothing",
        "a=nothing&b=nothing",
        "metric=nothing",
        "seed=7",
        "start=9999",
    ],
)
def test_choices_that_are_not_there_choose_nothing(ready_site: Site, query: str) -> None:
    assert get(ready_site, f"/ablations/fusion?{query}").status_code == 200
    assert get(ready_site, f"/ablations/fusion/curves.json?{query}").status_code == 200


def test_every_form_leaves(ready_site: Site) -> None:
    beginnings = {
        "json": "{",
        "csv": "variant,",
        "html": "<!doctype",
        "markdown": "## ",
        "latex": "% ",
    }
    for form, beginning in beginnings.items():
        answer = get(ready_site, f"/api/v1/groups/fusion/study?form={form}")
        assert answer.status_code == 200
        assert answer.text.lower().startswith(beginning)
        assert 'filename="fusion.' in answer.headers["content-disposition"]
        assert str(ready_site.home.path) not in answer.text


def test_a_picture_that_is_not_there(ready_site: Site) -> None:
    for name in ("nothing", "../../token", HOSTILE):
        answer = get(
            ready_site, f"/ablations/fusion/picture?image={httpx.QueryParams({'i': name})['i']}"
        )
        assert answer.status_code in (404, 422)


def test_older_groups_have_a_page_of_their_own(site: Site, home: Home) -> None:
    for at in range(21):
        Group(home, f"group-{at:02d}").add("concat", state=State.QUEUED)
    first, second = get(site, "/ablations").text, get(site, "/ablations?start=20").text
    assert "group-20" in first
    assert "group-00" not in first
    assert "group-00" in second


def test_only_what_the_study_has_is_offered_as_a_baseline(site: Site, group: Group) -> None:
    for variant in ("concat", "multiply"):
        group.add(variant, rate=0.5, tags=["beside=chance"])
    group.add("waits", state=State.QUEUED)
    until_ready(site, "g")
    for baseline in ("", "chance"):
        text = get(site, f"/ablations/g?baseline={baseline}").text
        select = text.partition('id="pick-baseline"')[2].partition("</select>")[0]
        assert re.findall('<option value="(.*?)"', select) == ["concat", "multiply", "chance"]
    assert 'value="chance" selected' in select


def luminance(colour: Sequence[float]) -> float:
    """Of a colour's red, green and blue, 0 to 255, as WCAG defines it."""
    parts = [part / 255 for part in colour]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return sum(share * part for share, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: Sequence[float], other: Sequence[float]) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def rgb(page: Page, name: str) -> list[int]:
    value = page.evaluate(
        "name => getComputedStyle(document.documentElement).getPropertyValue(name)", name
    )
    return [int(value.strip()[at : at + 2], 16) for at in (1, 3, 5)]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_figure_of_the_heat_map_can_be_read(
    site: Site, group: Group, look: Look, shoot: Callable[..., object], scheme: str
) -> None:
    for variant, rate in (("concat", 0.5), ("multiply", 0.9), ("sum", 0.1), ("mlb", 0.7)):
        group.add(variant, rate=rate)
    until_ready(site, "g")
    (trace,) = get(site, "/ablations/g/heat.json").json()["data"]
    page = look(site, "/ablations/g", scheme=scheme)
    page.get_by_role("heading", name=re.compile("^Differences to")).scroll_into_view_if_needed()
    texts = page.locator("#part-types .plot text").filter(has_text=re.compile(r"^[+−-]\d"))
    texts.first.wait_for()
    fills = {text.evaluate("text => getComputedStyle(text).fill") for text in texts.all()}
    assert texts.count() == 6
    ink = rgb(page, "--ink")
    assert fills == {"rgb({}, {}, {})".format(*ink)}
    ends = [rgb(page, name) for _, name in trace["colorscale"]]
    for less, more in itertools.pairwise(ends):
        for share in (0, 0.25, 0.5, 0.75, 1):
            cell = [a + share * (b - a) for a, b in zip(less, more, strict=True)]
            assert contrast(cell, ink) >= 4.5, (scheme, cell)
    shoot(page, f"ablation-heat-{scheme}")
