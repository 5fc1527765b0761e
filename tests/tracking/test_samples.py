"""Sample predictions: which are chosen, and what is written of them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from vqa.data.store import Store
from vqa.evaluation.predictions import Prediction, read_predictions
from vqa.export import load
from vqa.tracking.predictions import right_answer
from vqa.tracking.samples import choose, write_samples
from vqa.training.run import train


def predictions(scores) -> list[Prediction]:
    return [Prediction(f"q{k}", "i", score=score) for k, score in enumerate(scores)]


@given(
    st.lists(st.sampled_from([0.0, 30.0, 60.0, 100.0, None]), max_size=60),
    st.integers(0, 40),
)
def test_half_are_right_as_far_as_there_are(scores, count) -> None:
    items = predictions(scores)
    chosen = choose(items, count)
    assert len(chosen) == min(count, len(items))
    assert chosen == sorted(chosen, key=items.index)
    assert len({item.question_id for item in chosen}) == len(chosen)
    right = sum((item.score or 0) >= 50 for item in chosen)
    wrong = len(chosen) - right
    assert right >= min(count // 2, sum((score or 0) >= 50 for score in scores))
    assert wrong >= min(count // 2, sum((score or 0) < 50 for score in scores))
    assert choose(items, count) == chosen


def test_the_choice_spreads_over_the_split() -> None:
    chosen = choose(predictions([100.0] * 100 + [0.0] * 100), 6)
    assert [item.question_id for item in chosen] == ["q0", "q50", "q99", "q100", "q150", "q199"]


def test_the_right_answer_in_words() -> None:
    choice = Prediction("q", "i", choices=["red", "blue"], label=1)
    people = Prediction("q", "i", answers=["two", "2", "2"])
    assert right_answer(choice) == "blue"
    assert right_answer(people) == "2 / two"
    assert right_answer(Prediction("q", "i")) == ""


@pytest.mark.parametrize(("attention", "glimpses"), [({"name": "soft", "glimpses": 2}, 2), ({}, 0)])
def test_pictures_and_attention_are_written(attention, glimpses, experiment, tmp_path) -> None:
    model = {"attention": attention} if attention else {}
    wanted = experiment(model=model, trainer={"max_epochs": 1})
    train(wanted, tmp_path / "run")
    store = Store.open(wanted.data.store)
    items = read_predictions(tmp_path / "run" / "predictions" / "test.jsonl")
    unscored = [item.with_said(item.answer, [], [], None) for item in items]
    folder = write_samples(tmp_path / "run", load(tmp_path / "run"), store, unscored, 5)
    table = json.loads((folder / "table.json").read_text())
    assert len(table["rows"]) == 5
    scores = {item.question_id: item.score for item in items}
    for row in table["rows"]:
        cells = dict(zip(table["columns"], row, strict=True))
        assert cells["score"] == scores[cells["question_id"]]
        assert cells["right"] in cells["choices"].split(" / ")
        names = [f"attention {k}" for k in range(1, glimpses + 1)]
        for name in ["picture", *names]:
            with Image.open(folder / cells[name]["image"]) as picture:
                assert picture.mode == "RGB"
    pictures = list(folder.glob("*.png"))
    assert len(pictures) == 5 * (1 + glimpses)
