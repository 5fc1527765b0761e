"""The page of one run."""

from __future__ import annotations

import html
import io
import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import httpx
import pytest
import yaml
from PIL import Image, ImageColor

from tests.server.pages.people import Site, await_pictures, too_wide, until
from vqa.evaluation.predictions import Prediction, read_predictions, write_predictions
from vqa.jobs.home import Home
from vqa.jobs.queue import Queue
from vqa.jobs.record import State
from vqa.server.pages.layout import figure_text
from vqa.server.pages.run_predictions import options, shares

if TYPE_CHECKING:
    from playwright.sync_api import Page

Look = Callable[..., "Page"]
Queued = Callable[..., str]
Finished = tuple[Home, list[str]]
HOSTILE = "<script>alert('x')</script> \"quoted\" & \u05e9\u05dc\u05d5\u05dd \u202eend"


def get(site: Site, path: str) -> httpx.Response:
    headers = {"Authorization": f"Bearer {site.token}", "Accept": "text/html"}
    return httpx.get(site.address + path, headers=headers, trust_env=False, timeout=60)


def scroll_through(page: Page) -> None:
    """As a reader does, so that what waits to be seen is fetched."""
    for place in page.locator("h2").all():
        place.scroll_into_view_if_needed()
        page.wait_for_timeout(150)


def test_a_finished_run(finished_site: Site, finished_home: Finished, look: Look) -> None:
    home, (job, *_) = finished_home
    result = json.loads((home.run_dir(job) / "result.json").read_text())
    page = look(finished_site, f"/jobs/{job}")
    assert page.get_by_role("heading", name="multiply.s0").is_visible()
    assert f"{result['overall']:.2f}" in page.get_by_role("list", name="Figures").inner_text()
    assert page.get_by_role("link", name="fusion").get_attribute("href") == "/ablations/fusion"
    charts = {text.split("\n")[0] for text in page.locator(".chart h3").all_inner_texts()}
    assert {"Loss", "Validation accuracy", "Learning rate", "Speed", "Forget gates"} <= charts
    assert {"Gradient norm by time step", "How far back learning reaches"} <= charts
    page.locator(".plot .main-svg").first.wait_for()
    loss = page.locator("figure", has_text="Loss").first
    loss.get_by_text("As a table").click()
    assert loss.get_by_role("row").nth(1).inner_text().startswith("train/loss")
    types = page.locator("figure", has=page.get_by_role("heading", name="Question type"))
    types.get_by_text("As a table").click()
    assert types.get_by_role("row").count() == 1 + len(result["per_question_type"])
    row = page.get_by_role("row", name="model.attention.glimpses")
    assert row.get_by_role("cell").all_inner_texts() == ["2", "1"]


def test_on_paper_every_chart_is_drawn(
    finished_site: Site, finished_home: Finished, look: Look
) -> None:
    page = look(finished_site, f"/jobs/{finished_home[1][0]}")
    until(
        page,
        """[...document.querySelectorAll(".plot[data-figure]")].every(one => one.figure || one.kept)""",
    )
    missing = """[...document.querySelectorAll(".plot[data-figure]")]
        .filter(one => !one.querySelector(".main-svg")).length"""
    assert page.evaluate(missing) > 0
    page.pdf()
    assert page.evaluate(missing) == 0


def test_a_small_phone_shows_what_differs(
    finished_site: Site, finished_home: Finished, look: Look
) -> None:
    page = look(finished_site, f"/jobs/{finished_home[1][0]}", size="small")
    assert not [name for name in too_wide(page) if name.startswith("What differs")]


def test_an_ended_run_shows_what_its_log_and_its_result_say(
    finished_site: Site, finished_home: Finished
) -> None:
    """Epochs are counted from 1; the speed is that of the whole training, as the ablation's table has it."""
    home, (job, *_) = finished_home
    result = json.loads((home.run_dir(job) / "result.json").read_text())
    text = get(finished_site, f"/jobs/{job}").text
    assert re.search(r"of \d+, epoch 2<", text)
    speed = figure_text(result["training"]["questions_per_second"], 0)
    assert f"<b>{speed}</b><span>questions/s" in text


def test_predictions_from_the_filter_to_a_hidden_unit(
    finished_site: Site, finished_home: Finished, look: Look, shoot: Callable[..., object]
) -> None:
    home, (job, *_) = finished_home
    said = read_predictions(home.run_dir(job) / "predictions" / "test.jsonl")
    wrong = [item for item in said if item.score == 0]
    page = look(finished_site, f"/jobs/{job}")
    page.get_by_role("heading", name="Predictions").scroll_into_view_if_needed()
    page.locator("#verdict").select_option("wrong")
    page.get_by_role("button", name="Filter").click()
    page.get_by_text(f"of {len(wrong)}", exact=False).first.wait_for()
    cards = page.locator(".predictions > li")
    assert cards.count() == min(24, len(wrong))
    assert cards.first.locator("h3").inner_text() == wrong[0].question
    cards.first.get_by_role("link").click()
    page.get_by_role("heading", name=wrong[0].question).wait_for()
    for glimpse in (1, 2):
        map_ = page.get_by_alt_text(f"Attention of glimpse {glimpse} over the picture")
        map_.scroll_into_view_if_needed()
    await_pictures(page, ".glimpses img", 2)
    words = page.get_by_role("list", name="Words with the unit's value").get_by_role("listitem")
    page.get_by_label("Hidden unit").fill("3")
    page.get_by_text("Unit 3 of 8").wait_for()
    query = {"question": wrong[0].question_id}
    api = f"{finished_site.address}/api/v1/jobs/{job}/predictions/test/words"
    found = page.request.get(api, params=query).json()
    values = [row[3] for row in found["states"]]
    assert [shown(text) for text in words.all_inner_texts()] == [
        (word, pytest.approx(value, abs=0.0051))
        for word, value in zip(found["words"], values, strict=True)
    ]
    up = [("up-" in (one.get_attribute("class") or "")) for one in words.all()]
    assert up == [value > 0 for value in values]
    page.get_by_label("Show").select_option("forget")
    until(page, "!document.querySelector('.words').innerText.includes('−')")
    shoot(page, "prediction")
    page.get_by_role("link", name="Next").click()
    page.get_by_role("heading", name=wrong[1].question).wait_for()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_probability_is_drawn_in_the_page_s_own_colour(
    finished_site: Site, finished_home: Finished, look: Look, scheme: str
) -> None:
    """As on the page for asking; not in the browser's green."""
    home, (job, *_) = finished_home
    said = read_predictions(home.run_dir(job) / "predictions" / "test.jsonl")
    query = urlencode({"split": "test", "question": said[0].question_id})
    page = look(finished_site, f"/jobs/{job}/prediction?{query}", scheme=scheme)
    meter = page.locator(".options meter").first
    drawn = Image.open(io.BytesIO(meter.screenshot())).convert("RGB")
    accent = page.evaluate(
        "getComputedStyle(document.documentElement).getPropertyValue('--accent').trim()"
    )
    colours = {colour for _, colour in drawn.getcolors(1 << 24) or []}
    assert ImageColor.getrgb(accent) in colours


def shown(text: str) -> tuple[str, float]:
    """A word and its value as they stand on the page."""
    word, value = text.split()
    return word, float(value.replace("−", "-"))


def test_a_run_is_followed_to_its_end(site: Site, home: Home, look: Look, queued: Queued) -> None:
    job = queued(State.RUNNING, name="going", group="good")
    folder = home.run_dir(job)
    (folder / "logs").mkdir(parents=True)
    (folder / "logs" / "rank0.log").write_text("first words\n")
    (folder / "events.jsonl").write_text('{"event": "started", "step": 0, "steps": 40}\n')
    page = look(site, f"/jobs/{job}")
    page.get_by_text("Nothing yet").wait_for()
    assert "first words" in page.locator("#log-text").inner_text()
    with (folder / "logs" / "rank0.log").open("a") as log:
        log.write("\x1b[32mmore <b>words</b>\x1b[0m\n")
    page.get_by_text("more <b>words</b>").wait_for()
    record = {"step": 20, "epoch": 1, "time": 1.0, "train/loss": 0.75}
    (folder / "metrics.jsonl").write_text(json.dumps(record) + "\n")
    page.get_by_text("50 % of 40").wait_for()
    page.get_by_role("heading", name="Loss").wait_for()
    page.locator(".plot .main-svg").first.wait_for()
    write_predictions(folder_of(folder), [Prediction("q", "i", question="Is it over?", score=0)])
    (folder / "result.json").write_text(json.dumps({"status": "failed", "error": "it broke"}))
    queue = Queue(home.queue_file)
    assert queue.move(queue.get(job), State.FAILED, "it broke")
    page.get_by_role("button", name="Resume going").wait_for()
    page.get_by_text("it broke").first.wait_for()
    page.get_by_role("link", name="Is it over?").wait_for()


def folder_of(run_dir: Path) -> Path:
    (run_dir / "predictions").mkdir()
    return run_dir / "predictions" / "val.jsonl"


def test_what_runs_and_people_write_is_shown_as_text(
    site: Site, home: Home, look: Look, queued: Queued, check_accessible: Callable[..., None]
) -> None:
    """Names of figures and types, questions, answers, choices, ids, logs, reasons: all may be anything."""
    job = queued(State.FAILED, reason=HOSTILE, name="hostile")
    folder = home.run_dir(job)
    (folder / "logs").mkdir(parents=True)
    (folder / "logs" / "rank0.log").write_text(HOSTILE)
    record = {"step": 1, "epoch": 0, "time": 1.0, HOSTILE: 1.0, "train/loss": 1.0}
    (folder / "metrics.jsonl").write_text(json.dumps(record) + "\n")
    types = {"per_question_type": {HOSTILE: 50.0}, "n_per_question_type": {HOSTILE: 2}}
    (folder / "result.json").write_text(json.dumps({"status": "failed", "error": HOSTILE, **types}))
    one = {"question_type": HOSTILE, "question": HOSTILE, "choices": [HOSTILE, "b"], "label": 0}
    said = {"answer": HOSTILE, "answers": [HOSTILE] * 10, "choice_scores": [1.0, None]}
    item = Prediction(HOSTILE, HOSTILE, score=30.0, confidence=1.0, **one, **said)
    write_predictions(folder_of(folder), [item])
    page = look(site, f"/jobs/{job}")
    scroll_through(page)
    page.locator(".predictions h3 a").wait_for()
    assert page.locator("figure h3", has_text="<script>").count() == 1
    assert page.locator(".fault").first.inner_text() == HOSTILE
    assert page.locator("script:not([src])").count() == 0
    check_accessible(page)
    page.locator(".predictions h3 a").click()
    page.get_by_text("no exported model here", exact=False).first.wait_for()
    assert page.locator("h1").inner_text() == HOSTILE
    assert page.get_by_text("×10").is_visible()
    check_accessible(page)


@pytest.mark.parametrize("far", [1e32, 1e-20])
def test_a_loss_beyond_all_bounds_fits_and_is_drawn_within_the_policy(
    site: Site, home: Home, look: Look, queued: Queued, far: float
) -> None:
    """The fixture fails on what the policy refuses."""
    job = queued(State.FAILED, name="diverged")
    folder = home.run_dir(job)
    folder.mkdir(parents=True)
    lines = [
        json.dumps({"step": k, "epoch": 0, "time": 1.0, "train/loss": k * far}) for k in (1, 2)
    ]
    (folder / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    page = look(site, f"/jobs/{job}", size="phone")
    page.locator(".plot .ytick").first.wait_for()
    assert re.search(r"e[+−-]\d\d", page.locator(".plot").first.inner_text())
    assert too_wide(page) == []


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
    job = finished_home[1][0]
    page = look(finished_site, f"/jobs/{job}", scheme=scheme, size=size)
    page.get_by_text("Job, history and downloads").click()
    scroll_through(page)
    page.locator(".predictions > li").first.wait_for()
    page.locator(".plot .main-svg").last.wait_for()
    check_accessible(page)
    shoot(page, f"run-{scheme}-{size}")
    page.locator(".predictions h3 a").first.click()
    page.get_by_text("Unit", exact=False).first.wait_for()
    page.get_by_label("Hidden unit").wait_for()
    check_accessible(page)
    shoot(page, f"prediction-{scheme}-{size}")


def test_a_run_that_has_nothing(site: Site, home: Home, queued: Queued) -> None:
    """Queued, or failed before its directory was made."""
    waiting = get(site, f"/jobs/{queued(name='first')}").text
    assert (
        "Nothing yet. A record is written every 2 steps (<code>trainer.log_every_n_steps" in waiting
    )
    assert "None yet" in waiting
    failed = queued(State.FAILED, reason="no such split", name="second")
    text = get(site, f"/jobs/{failed}").text
    assert "The run ended before its first record." in text
    assert "no such split" in text
    assert "This run left no predictions." in text
    assert "There are no predictions." in get(site, f"/jobs/{failed}/predictions").text
    assert get(site, f"/jobs/{failed}/charts/loss").status_code == 404
    assert get(site, f"/jobs/{failed}/prediction?question=1").status_code == 404
    assert get(site, "/jobs/none").status_code == 404


def test_the_whole_experiment_can_be_run_again(
    finished_site: Site, finished_home: Finished
) -> None:
    """The file on the page is the run's own, with the store's name in the place of its path."""
    home, (job, *_) = finished_home
    text = html.unescape(get(finished_site, f"/jobs/{job}").text)
    shown = yaml.safe_load(text.partition('as YAML">')[2].partition("</pre>")[0])
    own = yaml.safe_load((home.run_dir(job) / "experiment.yaml").read_text())
    assert shown["data"].pop("store") == "scenes"
    assert own["data"].pop("store").endswith("/stores/scenes")
    assert shown == own


def test_a_result_that_cannot_be_read(site: Site, home: Home, queued: Queued) -> None:
    job = queued(State.FAILED, reason="the disk", name="torn")
    home.run_dir(job).mkdir(parents=True)
    (home.run_dir(job) / "result.json").write_text('{"status": ')
    assert get(site, f"/jobs/{job}").status_code == 200


def test_without_a_recurrent_encoder_or_attention(
    site: Site, home: Home, queued: Queued, experiment: Callable[..., Any]
) -> None:
    """A model of the question's words alone, in any order: neither map nor hidden units, and that is said."""
    from vqa.training.run import train

    job = queued(State.RUNNING, name="bag")
    bricks = {"image_encoder": "none", "question_encoder": {"name": "bag", "embedding_dim": 8}}
    train(experiment(model=bricks, trainer={"max_epochs": 1}), home.run_dir(job))
    page = get(site, f"/jobs/{job}").text
    assert "Gradient flow" in page  # the norm of all gradients
    assert "/charts/gates" not in page
    said = read_predictions(home.run_dir(job) / "predictions" / "test.jsonl")
    text = get(site, f"/jobs/{job}/prediction/explained?question={said[0].question_id}").text
    assert "This model has no attention." in text
    assert "Question encoder bag is not recurrent" in text


@pytest.mark.parametrize("query", ["verdict=odd", "start=x", "start=-1", "split=none"])
def test_a_filter_that_makes_no_sense(
    finished_site: Site, finished_home: Finished, query: str
) -> None:
    answer = get(finished_site, f"/jobs/{finished_home[1][0]}/predictions?{query}")
    assert answer.status_code == (404 if "split" in query else 422)


def test_probabilities_of_choices() -> None:
    assert shares([0.0, None, math.log(3)]) == [pytest.approx(0.25), None, pytest.approx(0.75)]
    assert shares([1000.0, 1000.0]) == [0.5, 0.5]
    assert shares([None, None]) == [None, None]
    item = Prediction("q", "i", choices=["a", "b"], label=1, answer="a", choice_scores=[0.0, 0.0])
    assert [(one.right, one.chosen, one.share) for one in options(item)] == [
        (False, True, 0.5),
        (True, False, 0.5),
    ]
    open_ended = Prediction("q", "i", answer="a", answers=["b"], top=[("a", 0.6), ("b", 0.3)])
    assert [(one.text, one.right, one.share) for one in options(open_ended)] == [
        ("a", False, 0.6),
        ("b", True, 0.3),
    ]
