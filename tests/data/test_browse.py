"""Choosing among a store's examples, against the plain way to do it."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vqa.data.browse import ExampleIndex, Wanted
from vqa.data.prepare import prepare
from vqa.data.store import Store


@pytest.fixture
def store(tmp_path, make, rows_of):
    rows = [
        make.row(question="Is it RED?", answers=["yes"], question_type="is", answer_type="yes/no"),
        make.row(
            question="what (shape)?", answers=["a.b", "ball"], choices=["a.b", "Cube"], label=0
        ),
        make.row(question="what (shape)?", answers=["cube"], split="val", question_type="what"),
        make.row(question="ما هذا؟", answers=["لون"], split="val", question_id="q/ü <b>"),
        make.row(question="nothing said", answers=[], split="hidden"),
    ]
    return prepare(rows_of(rows), tmp_path / "store")


@pytest.mark.parametrize(
    ("wanted", "rows"),
    [
        (Wanted(), [0, 1, 2, 3, 4]),
        (Wanted(split="val"), [2, 3]),
        (Wanted(split="gone"), []),
        (Wanted(question_type="what"), [2]),
        (Wanted(split="train", answer_type="yes/no"), [0]),
        (Wanted(text="red"), [0, 1, 2, 3, 4]),  # the image's id
        (Wanted(text="it red"), [0]),
        (Wanted(text="CUBE"), [1, 2]),  # a choice, an answer
        (Wanted(text="(shape)"), [1, 2]),  # no pattern
        (Wanted(text=".*"), []),
        (Wanted(text="a.b"), [1]),
        (Wanted(text="هذا"), [3]),
        (Wanted(text="q/ü <b>"), [3]),
        (Wanted(text="cube", split="val"), [2]),
    ],
)
def test_what_is_wanted_is_found(store: Store, wanted: Wanted, rows: list[int]) -> None:
    assert ExampleIndex(store).find(wanted).tolist() == rows


def test_rows_by_id_and_by_chance(store: Store) -> None:
    index = ExampleIndex(store)
    assert index.row("q/ü <b>") == 3
    assert index.row("nobody") is None
    drawn = {index.any_of(Wanted(split="val")) for _ in range(100)}
    assert drawn == {2, 3}
    assert index.any_of(Wanted(split="gone")) is None


def test_values_are_ranked_and_empty_ones_left_out(store: Store) -> None:
    index = ExampleIndex(store)
    assert index.values("split") == ["train", "val", "hidden"]
    assert sorted(index.values("question_type")) == ["is", "what"]
    assert index.values("answer_type") == ["yes/no"]


WORDS = st.text(alphabet="aBc .*", max_size=6)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    made=st.lists(st.tuples(WORDS, st.lists(WORDS, max_size=3)), min_size=1, max_size=8),
    text=WORDS.filter(bool),
)
def test_a_text_is_found_where_a_reader_finds_it(
    tmp_path_factory, make, rows_of, made: list[tuple[str, list[str]]], text: str
) -> None:
    rows = [
        make.row(question=f"{question}?", answers=[f"{a}!" for a in answers], image_id="0")
        for question, answers in made
    ]
    store = prepare(rows_of(rows), tmp_path_factory.mktemp("s") / "store", max_bad=99)
    examples = [store.example(row) for row in range(len(store.examples))]
    expected = [
        row
        for row, one in enumerate(examples)
        if any(text.lower() in said.lower() for said in (one.question, *one.answers))
    ]
    assert ExampleIndex(store).find(Wanted(text=text)).tolist() == expected
