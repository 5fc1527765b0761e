"""Looking through a predictions file, whatever stands in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vqa.errors import ResultError
from vqa.evaluation import prediction_columns
from vqa.evaluation.browse import PredictionIndex, Query, verdict_of
from vqa.evaluation.predictions import Prediction, write_predictions

KINDS = ("colour", "shape", "number")


def made(number: int, **fields: Any) -> Prediction:
    usual = {
        "question_id": f"q{number}",
        "image_id": f"i{number // 3}",
        "question_type": KINDS[number % 3],
        "question": f"What is item {number}?",
        "answer": "red",
        "answers": ["red", "Blue"],
        "score": (100.0, 0.0, 30.0, None)[number % 4],
    }
    return Prediction(**{**usual, **fields})


@pytest.fixture
def index(tmp_path: Path) -> PredictionIndex:
    write_predictions(tmp_path / "val.jsonl", [made(number) for number in range(60)])
    return PredictionIndex(tmp_path / "val.jsonl")


def ids(index: PredictionIndex, query: Query, start: int = 0, count: int = 100) -> list[str]:
    return [item.question_id for item in index.page(query, start, count).items]


def test_filters_say_what_they_find(index: PredictionIndex) -> None:
    assert ids(index, Query()) == [f"q{n}" for n in range(60)]
    assert ids(index, Query(verdict="right")) == [f"q{n}" for n in range(0, 60, 4)]
    assert ids(index, Query(verdict="partly")) == [f"q{n}" for n in range(2, 60, 4)]
    assert ids(index, Query(verdict="unscored")) == [f"q{n}" for n in range(3, 60, 4)]
    both = Query(verdict="wrong", question_type="shape")
    assert ids(index, both) == [f"q{n}" for n in range(60) if n % 4 == 1 and n % 3 == 1]
    assert ids(index, Query(text="ITEM 5?")) == ["q5"]
    assert len(ids(index, Query(text="bLUE"))) == 60
    assert ids(index, Query(text="green")) == ids(index, Query(answer_type="x")) == []


def test_pages_and_counts(index: PredictionIndex) -> None:
    page = index.page(Query(verdict="right"), 10, 4)
    assert ([item.question_id for item in page.items], page.total) == (
        ["q40", "q44", "q48", "q52"],
        15,
    )
    assert index.page(Query(), 10_000).items == []
    assert index.question_types == {"colour": 20, "shape": 20, "number": 20}
    assert index.verdicts == {"right": 15, "partly": 15, "wrong": 15, "unscored": 15}
    assert (len(index), index.skipped) == (60, 0)


def test_one_and_its_neighbours(index: PredictionIndex) -> None:
    assert index.find("q7") == made(7)
    assert index.beside(Query(), "q7") == ("q6", "q8")
    assert index.beside(Query(verdict="right"), "q7") == ("q4", "q8")
    assert index.beside(Query(), "q0")[0] is None
    assert index.beside(Query(), "q59")[1] is None
    with pytest.raises(ResultError, match="no prediction of question 'q60'"):
        index.find("q60")


def test_lines_that_are_no_predictions_are_counted(tmp_path: Path) -> None:
    good = [json.dumps(made(number).to_json()) for number in range(3)]
    bad = ["{", "[]", "7", '{"question_id": 1.5}', '{"image_id": "x"}', "\xff", '"' + "[" * 9000]
    bad += [json.dumps({**made(9).to_json(), "score": "much"})]
    bad += [json.dumps({**made(9).to_json(), "question_type": 3})]
    bad += [json.dumps({**made(9).to_json(), "answers": 3})]
    lines = [
        good[0],
        *bad,
        "",
        good[1],
        "   ",
        good[2][:40] + "\ud800".encode("utf-8", "replace").decode(),
    ]
    (tmp_path / "val.jsonl").write_bytes("\n".join([*lines, good[2]]).encode("latin-1"))
    index = PredictionIndex(tmp_path / "val.jsonl")
    assert ids(index, Query()) == ["q0", "q1", "q2"]
    assert index.skipped == len(bad) + 1


def test_what_a_line_may_not_hold_is_left_out_of_a_page(tmp_path: Path) -> None:
    wrong = {**made(1).to_json(), "choices": ["a"], "choice_scores": [1, 2]}
    lines = [json.dumps(made(0).to_json()), json.dumps(wrong)]
    (tmp_path / "val.jsonl").write_text("\n".join(lines) + "\n")
    index = PredictionIndex(tmp_path / "val.jsonl")
    assert ids(index, Query()) == ["q0"]
    with pytest.raises(ResultError):
        index.find("q1")


@pytest.mark.parametrize(
    ("score", "verdict"),
    [(None, "unscored"), (0.0, "wrong"), (100.0, "right"), (30.0, "partly"), (99.99, "partly")],
)
def test_verdicts(score: float | None, verdict: str) -> None:
    assert verdict_of(score) == verdict


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@given(texts=st.lists(TEXTS, min_size=1, max_size=8), wanted=TEXTS)
def test_a_search_finds_what_python_finds(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], wanted: str
) -> None:
    file = tmp_path_factory.mktemp("any") / "val.jsonl"
    asked = [made(k, question=text, answer=None, answers=[]) for k, text in enumerate(texts)]
    write_predictions(file, asked)
    found = ids(PredictionIndex(file), Query(text=wanted))
    assert found == [
        f"q{k}" for k, t in enumerate(texts) if wanted.casefold() in t.casefold() + "\n"
    ]


ODD = st.sampled_from(
    [
        None,
        3,
        0.5,
        True,
        "",
        "x" * 10_001,
        "ß\u1e9e",
        "a\nb",
        [],
        ["a", "É"],
        ["a", 1],
        ["a", None],
        {},
        1e400,
    ]
)
FIELDS = st.sampled_from(
    ["question_id", "question_type", "answer_type", "question", "answer", "answers", "score"]
)


@given(changes=st.lists(st.tuples(FIELDS, st.one_of(ODD, TEXTS)), max_size=3), blank=st.booleans())
def test_the_quick_way_is_taken_only_where_it_finds_the_same(
    changes: list[tuple[str, Any]], blank: bool
) -> None:
    lines = [json.dumps({**made(k).to_json(), "score": 50.0 * k}) for k in range(3)]
    lines.insert(1, json.dumps({**made(7).to_json(), **dict(changes)}))
    data = "\n".join([*lines[:2], *([" "] if blank else []), *lines[2:]]).encode()
    quick, exact = prediction_columns._parse((data, 5)), prediction_columns._exactly(data, 5)
    assert quick.skipped == exact.skipped
    for name in ("offsets", "verdicts", "ids", "question_types", "answer_types", "texts"):
        assert list(map(str, getattr(quick, name))) == list(map(str, getattr(exact, name)))


def test_a_sound_file_is_read_the_quick_way(tmp_path: Path) -> None:
    write_predictions(tmp_path / "val.jsonl", [made(number) for number in range(5)])
    data = (tmp_path / "val.jsonl").read_bytes()
    assert len(prediction_columns._quickly(data, 0).ids) == 5


def test_blocks_are_cut_between_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_predictions(tmp_path / "val.jsonl", [made(number) for number in range(60)])
    monkeypatch.setattr(prediction_columns, "BLOCK", 1000)
    index = PredictionIndex(tmp_path / "val.jsonl")
    assert index.page(Query(), 0, 100).items == [made(number) for number in range(60)]


def test_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "val.jsonl").write_text("")
    index = PredictionIndex(tmp_path / "val.jsonl")
    assert (len(index), index.page(Query()).total, index.question_types) == (0, 0, {})
