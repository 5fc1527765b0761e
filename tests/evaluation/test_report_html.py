"""The page: complete, self-contained, and deaf to what an answer says."""

import base64
import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from vqa.errors import ResultError
from vqa.evaluation.predictions import Prediction
from vqa.evaluation.protocols import score_predictions
from vqa.evaluation.report_html import sample, write_report

PIXEL = "data:image/png;base64," + base64.b64encode(b"not really a picture").decode()
ATTACK = "</p><script>alert(1)</script><img src=x onerror='alert(2)'>\" onload=\"x"


def predictions(answer: str = "no") -> list[Prediction]:
    return [
        Prediction(
            str(at),
            f"i{at // 2}",
            question_type=ATTACK if at % 5 == 0 else "what",
            answer_type="yes/no",
            answer="yes" if at % 3 else answer,
            answers=["yes"] * 10,
            confidence=at / 60,
            question=ATTACK,
        )
        for at in range(60)
    ]


class Tags(HTMLParser):
    """Collects tags and attributes, and checks that tags nest."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict]] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def page(tmp_path: Path, answer: str = "no", picture: str | None = PIXEL) -> str:
    result = score_predictions(predictions(answer), "vqa-accuracy/since-2021", resamples=200)
    path = tmp_path / "report.html"
    write_report(path, result, result.predictions, lambda _: picture)
    return path.read_text(encoding="utf-8")


def test_the_page_holds_what_it_should(tmp_path: Path) -> None:
    text = page(tmp_path)
    for shown in ("66.67", "By answer type", "Confidence and score", "Wrong answers", "Rules"):
        assert shown in text
    parser = Tags()
    parser.feed(text)
    assert parser.open == []
    tags = [tag for tag, _ in parser.found]
    assert tags.count("img") == 24
    assert tags.count("svg") == 3


def test_nothing_escapes_and_nothing_is_fetched(tmp_path: Path) -> None:
    parser = Tags()
    parser.feed(page(tmp_path, answer=ATTACK))
    assert not {"script", "iframe", "link", "object"} & {tag for tag, _ in parser.found}
    for _, attributes in parser.found:
        assert not [
            name for name in attributes if name.startswith("on") or name in ("style", "href")
        ]
        assert attributes.get("src", PIXEL) == PIXEL


def test_the_policy_allows_the_style_sheet_by_its_hash_and_no_more(tmp_path: Path) -> None:
    text = page(tmp_path)
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'" in text
    assert "unsafe" not in text


@pytest.mark.parametrize(
    "uri",
    [
        "https://example.org/x.png",
        "data:text/html;base64,AAAA",
        "data:image/svg+xml;base64,AAAA",
        "data:image/png;base64,AA'><script>",
    ],
)
def test_other_pictures_are_refused_and_nothing_is_written(tmp_path: Path, uri: str) -> None:
    with pytest.raises(ResultError, match="no data URI"):
        page(tmp_path, picture=uri)
    assert list(tmp_path.iterdir()) == []


def test_without_pictures_and_the_sample_is_stable(tmp_path: Path) -> None:
    assert "<img" not in page(tmp_path, picture=None)
    scored = score_predictions(predictions(), "exact/1", resamples=0).predictions
    assert sample(scored, right=True) == sample(scored, right=True)
    assert len(sample(scored, right=True)) == 12
    assert all(item.score == 0 for item in sample(scored, right=False))
