"""The Submit page: one job, a grid, and what cannot be queued."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from starlette.testclient import TestClient

from tests.server.pages.people import Site
from vqa.jobs.home import Home
from vqa.jobs.queue import Queue
from vqa.jobs.record import Filter
from vqa.names import TITLE_RULE

if TYPE_CHECKING:
    from playwright.sync_api import Page

Look = Callable[..., "Page"]
ROOT = "http://127.0.0.1:8000"
SMALL = {
    "data.store": "scenes",
    "data.image_size": "16",
    "model.image_encoder": "{name: small, channels: [4, 8], strides: [2, 2]}",
    "model.question_encoder.dim": "8",
}


def jobs(home: Home) -> list[Any]:
    return Queue(home.queue_file).find(Filter(), 100)


def test_one_job(ann: TestClient, home: Home) -> None:
    body = {"values": SMALL, "name": "mine"}
    seen = ann.post(f"{ROOT}/submit/look", json=body)
    assert seen.status_code == 200
    assert "It can be trained" in seen.text
    assert jobs(home) == []
    address = ann.post(f"{ROOT}/submit/queue", json=body).json()["address"]
    (job,) = jobs(home)
    assert address == f"/jobs/{job.id}"
    assert job.submission.user == "ann"
    assert job.submission.experiment["model"]["question_encoder"]["dim"] == 8


def test_a_grid(ann: TestClient, home: Home) -> None:
    body = {
        "values": SMALL,
        "axes": {"model.fusion": ["concat", "multiply"]},
        "seeds": "2",
        "baselines": [],
        "group": "mine",
    }
    seen = ann.post(f"{ROOT}/submit/look", json=body)
    assert "4 jobs in group mine" in seen.text
    assert jobs(home) == []
    for queued in (4, 0):  # a second time submits nothing twice
        made = ann.post(f"{ROOT}/submit/queue", json=body).json()
        assert made == {"address": "/ablations/mine", "queued": queued}
        assert len(jobs(home)) == 4


def test_what_is_there_already_is_said_with_whose_it_is(
    connect: Callable[..., TestClient], ann: TestClient
) -> None:
    body = {"values": SMALL, "group": "g", "seeds": "1", "baselines": []}
    fusions = ["concat", "multiply", "sum"]
    ann.post(f"{ROOT}/submit/queue", json=body | {"axes": {"model.fusion": fusions[:2]}})
    shown = {
        (user, some): connect(user)
        .post(f"{ROOT}/submit/look", json=body | {"axes": {"model.fusion": fusions[:some]}})
        .text
        for user, some in (("bea", 2), ("cleo", 3))
    }
    link = '<a href="/ablations/g">'
    assert (
        f"Nothing to submit: {link}all of them are there already</a> (submitted by ann)."
        in shown["bea", 2]
    )
    assert (
        f"1 to submit, {link}the others</a> are there already (submitted by ann)"
        in shown["cleo", 3]
    )
    own = ann.post(f"{ROOT}/submit/look", json=body | {"axes": {"model.fusion": fusions[:2]}})
    assert "all of them are there already</a>." in own.text
    assert "shared" not in own.text


def test_a_grid_that_somebody_else_has_submitted_is_said_to_be_there(
    site: Site, home: Home, look: Look, ann: TestClient
) -> None:
    text = (
        "group: g\nbase: {data: {store: scenes}}\n"
        "axes: {model.fusion: [sum, concat]}\nbaselines: []\n"
    )
    assert ann.post(f"{ROOT}/submit/queue", json={"pasted": text}).status_code == 201
    page = look(site, "/submit")
    page.get_by_text("Paste YAML instead").click()
    page.locator("#f-pasted").fill(text)
    page.locator("form#submit").get_by_role("button", name="Submit").click()
    page.get_by_text("(submitted by ann)").wait_for()
    assert page.url.endswith("/submit")
    assert len(jobs(home)) == 6
    page.get_by_role("link", name="all of them are there already").click()
    page.wait_for_url("**/ablations/g")


def test_what_is_pasted(ann: TestClient, home: Home) -> None:
    base = "{data: {store: scenes, image_size: 16}}"
    text = (
        f"group: g\nbase: {base}\naxes: {{model.fusion: [sum, concat]}}\nseeds: 1\nbaselines: []\n"
    )
    assert ann.post(f"{ROOT}/submit/queue", json={"pasted": text}).status_code == 201
    assert len(jobs(home)) == 2
    assert ann.post(f"{ROOT}/submit/queue", json={"pasted": base}).status_code == 201
    assert len(jobs(home)) == 3


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "data.store: missing"),
        ({"values": {"data.store": "none-such"}}, "none-such"),
        ({"values": {"data.store": "../../etc"}}, "store"),
        ({"values": SMALL | {"model.fusion": "multply"}}, "did you mean 'multiply'"),
        ({"values": SMALL | {"model.fusion.dim": "-3"}}, "model.fusion.dim"),
        ({"values": SMALL | {"optimizer.lr": "[1"}}, "not valid YAML"),
        ({"values": SMALL | {"optimizer.lr": "&a [1, *a]"}}, "alias"),
        ({"values": SMALL | {"a.b.c": "1"}}, "a: no such key"),
        ({"values": SMALL | {"..": "1"}}, "no such key"),
        ({"values": SMALL, "axes": {"model.fusion": ["sum", "concat"]}}, "group"),
        ({"values": SMALL, "axes": {"model.fusion": []}, "group": "g"}, "model.fusion"),
        (
            {"values": SMALL, "axes": {"model.fusoin": ["sum", "concat"]}, "group": "g"},
            "did you mean 'fusion'",
        ),
        ({"values": SMALL, "axes": {"seed": ["1", "2"]}, "group": "g"}, "seeds"),
        (
            {
                "values": SMALL,
                "axes": {"optimizer.lr": ["0.1", "0.2"]},
                "group": "g",
                "seeds": "5000",
            },
            "seeds",
        ),
        ({"pasted": "group: g\nbase: /etc/passwd\naxes: {seed: [1, 2]}\n"}, "base"),
        ({"pasted": "[1, 2]"}, "mapping"),
        ({"pasted": "a: &a [1]\nb: [*a, *a]"}, "alias"),
        ({"pasted": "!!python/object/apply:os.system ['true']"}, "not valid YAML"),
        ({"values": {"data.store": "scenes"}, "cores": 100000}, "cores"),
        ({"values": {}, "unknown": 1}, "unknown"),
    ],
)
def test_what_cannot_be_queued_says_why(
    ann: TestClient, home: Home, body: dict[str, Any], said: str
) -> None:
    for path in ("look", "queue"):
        answer = ann.post(f"{ROOT}/submit/{path}", json=body)
        assert answer.status_code == 422, answer.text
        assert said in json.dumps(answer.json(), ensure_ascii=False)
    assert jobs(home) == []


def test_who_may_only_read_does_not_get_in(connect: Callable[..., TestClient]) -> None:
    reader = connect("eve", "read")
    assert reader.get(f"{ROOT}/submit").status_code == 403
    assert reader.post(f"{ROOT}/submit/queue", json={"values": SMALL}).status_code == 403


def test_an_ablation_from_the_page(
    site: Site,
    home: Home,
    look: Look,
    shoot: Callable[..., object],
    check_accessible: Callable[..., None],
) -> None:
    page = look(site, "/submit")
    assert page.locator('[data-path="data.store"] select').input_value() == "scenes"
    page.get_by_role("textbox", name="Group").fill("walk")
    page.locator('[data-path="data.image_size"] input[data-value]').fill("16")
    page.get_by_label("Compare values of model.fusion", exact=True).check()
    values = page.get_by_role("group", name="Values of model.fusion", exact=True)
    values.get_by_label("concat", exact=True).check()
    page.get_by_label("Seeds").fill("2")
    page.get_by_label("question-only").uncheck()
    page.get_by_label("image-only").uncheck()
    assert page.get_by_text("Compared: model.fusion (2)").is_visible()
    page.get_by_role("button", name="See what it makes").click()
    page.get_by_role("heading", name="4 jobs in group walk").wait_for()
    check_accessible(page)
    shoot(page, "submit-grid")
    page.locator("form#submit").get_by_role("button", name="Submit").click()
    page.wait_for_url("**/ablations/walk")
    fusions = {job.submission.experiment["model"]["fusion"]["name"] for job in jobs(home)}
    assert (len(jobs(home)), fusions) == (4, {"concat", "multiply"})
    assert {job.submission.experiment["data"]["image_size"][0] for job in jobs(home)} == {16}


def test_a_job_again_with_a_change(site: Site, home: Home, look: Look, ann: TestClient) -> None:
    values = SMALL | {"model.attention": "soft", "model.attention.glimpses": "2"}
    first = ann.post(f"{ROOT}/submit/queue", json={"values": values}).json()["address"]
    page = look(site, f"/submit?from={first.removeprefix('/jobs/')}")
    glimpses = page.locator('[data-path="model.attention.glimpses"]:visible input[data-value]')
    page.locator("#member-model\\.attention-soft summary").click()
    assert glimpses.input_value() == "2"
    glimpses.fill("3")
    page.locator("form#submit").get_by_role("button", name="Submit").click()
    page.wait_for_url("**/jobs/*")
    newest, before = (job.submission.experiment for job in jobs(home))
    assert newest["model"]["attention"]["glimpses"] == 3
    newest["model"]["attention"]["glimpses"] = 2
    assert newest == before


def test_a_fault_is_said_beside_the_form(
    site: Site, look: Look, shoot: Callable[..., object], check_accessible: Callable[..., None]
) -> None:
    page = look(site, "/submit", scheme="dark", size="phone")
    page.get_by_text("optimizer torch.optim's own names").click()
    page.locator('[data-path="optimizer.lr"] input[data-value]').fill("-1")
    page.get_by_role("button", name="See what it makes").click()
    page.get_by_text("optimizer.lr").last.wait_for()
    assert "greater than 0" in page.locator("#submit-fault").inner_text()
    check_accessible(page)
    shoot(page, "submit-dark-phone")


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (
            {"values": SMALL, "name": "../x"},
            f"name: {TITLE_RULE}",
        ),
        (
            {"values": SMALL, "group": "g", "axes": {"model.fusion": ["concat"]}},
            "form: axes.model.fusion: has a single value, which compares nothing: "
            "give two or more, or set the value and leave the axis out",
        ),
    ],
)
def test_what_the_form_says_is_said_once_and_in_its_words(
    ann: TestClient, body: dict[str, Any], fault: str
) -> None:
    problem = ann.post(f"{ROOT}/submit/look", json=body).json()
    assert ": ".join(filter(None, map(problem.get, ("where", "detail", "fix")))) == fault


def test_what_is_no_number_is_refused_with_its_field(site: Site, home: Home, look: Look) -> None:
    """The browser gives such a field out as empty, and an empty one stands for the default."""
    page = look(site, "/submit")
    size = page.locator('[data-path="data.batch_size"] input[data-value]')
    size.press_sequentially("2-0")
    page.get_by_text("Priority and machine").click()
    page.get_by_label("Cores").press_sequentially("1e")
    page.get_by_text("Priority and machine").click()
    fault = page.locator("#submit-fault")
    for button in ("See what it makes", "Submit"):
        page.locator("form#submit").get_by_role("button", name=button).click()
        assert fault.inner_text() == "data.batch_size and Cores: not a number"
    assert jobs(home) == []
    size.fill("20")
    page.locator("form#submit").get_by_role("button", name="Submit").click()
    assert fault.inner_text() == "Cores: not a number"
    assert page.get_by_label("Cores").is_visible()
    page.get_by_label("Cores").fill("1")
    page.locator("form#submit").get_by_role("button", name="Submit").click()
    page.wait_for_url("**/jobs/*")
    (job,) = jobs(home)
    assert job.submission.experiment["data"]["batch_size"] == 20
