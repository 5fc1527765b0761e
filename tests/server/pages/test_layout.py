"""How pages write what they are given."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from vqa.server.pages.layout import code_markup, signed_text

ROOT = "http://127.0.0.1:8000"


@pytest.mark.parametrize(
    ("value", "text"), [(-1e-15, "+0.0"), (0.04, "+0.0"), (-0.04, "+0.0"), (-0.06, "-0.1")]
)
def test_a_figure_that_rounds_to_nothing_has_no_minus(value: float, text: str) -> None:
    assert signed_text(value, 1) == text


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
