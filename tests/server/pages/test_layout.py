"""How pages write what they are given."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from vqa.server.pages.layout import code_markup, figure_text, signed_text

ROOT = "http://127.0.0.1:8000"


@pytest.mark.parametrize(
    ("value", "text"), [(-1e-15, "+0.0"), (0.04, "+0.0"), (-0.04, "+0.0"), (-0.06, "-0.1")]
)
def test_a_figure_that_rounds_to_nothing_has_no_minus(value: float, text: str) -> None:
    assert signed_text(value, 1) == text


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (2.4857e32, 4, "2.486e+32"),
        (-1e9, 2, "-1.000e+09"),
        (1234.5, 2, "1\u202f234.50"),
        (1e9, 0, "1\u202f000\u202f000\u202f000"),
    ],
)
def test_a_figure_that_diverged_is_told_by_its_power(value: float, digits: int, text: str) -> None:
    assert figure_text(value, digits) == text


def test_what_stands_between_backticks_is_code_and_nothing_of_it_markup() -> None:
    text = "see `vqa jobs`, `<b>` and a lone ` of <i>"
    assert str(code_markup(text)) == (
        "see <code>vqa jobs</code>, <code>&lt;b&gt;</code> and a lone ` of &lt;i&gt;"
    )


@pytest.mark.parametrize(
    ("path", "link"),
    [
        ("/jobs/none", '<a href="/jobs">To Jobs</a>'),
        ("/ablations/none", '<a href="/ablations">To Ablations</a>'),
        ("/data/none", '<a href="/data">To Data</a>'),
        ("/ask?store=none", '<a href="/ask">To Ask</a>'),
        ("/nowhere", '<a href="/jobs">To Jobs</a>'),
    ],
)
def test_what_is_not_there_leads_back_to_its_list(ann: TestClient, path: str, link: str) -> None:
    answer = ann.get(f"{ROOT}{path}", headers={"Accept": "text/html"})
    assert answer.status_code == 404
    assert link in answer.text
