"""A split whose answers are withheld is kept; a record whose answers are missing is reported."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vqa.data.prepare import AHEAD, prepare
from vqa.data.record import BadRow, Example, ImageInput, Row
from vqa.data.store_writer import StoreWriter
from vqa.data.withheld import Withheld
from vqa.errors import DataError


@pytest.mark.parametrize("max_bad", [0, 2, 50])
def test_a_split_without_answers_is_kept(tmp_path, make, rows_of, max_bad):
    rows = [make.row(answers=[], split="test") for _ in range(3)] + [make.row(), make.row()]
    store = prepare(rows_of(rows), tmp_path / "store", max_bad=max_bad)
    assert store.manifest.splits == {"train": 2, "test": 3}
    assert sorted(store.examples["question_id"]) == [f"q{k}" for k in range(1, 6)]


@pytest.mark.parametrize("place", [0, 1, 2])
def test_missing_answers_are_found_wherever_they_stand(tmp_path, make, rows_of, place):
    rows = [make.row(answers=[] if k == place else ["red"]) for k in range(3)]
    with pytest.raises(DataError, match=f"^1 of 3 .*record {place + 1}: no answers"):
        prepare(rows_of(rows), tmp_path / "store")
    assert list(tmp_path.iterdir()) == []
    store = prepare(rows_of(rows), tmp_path / "store", max_bad=1)
    assert store.manifest.splits == {"train": 2}
    assert [record.where for record in store.rejected()] == [f"made, record {place + 1}"]


def test_a_label_is_answer_enough(tmp_path, make, rows_of):
    rows = [make.row(), make.row(answers=[], choices=["a", "b"], label=1)]
    assert prepare(rows_of(rows), tmp_path / "store").manifest.splits == {"train": 2}


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=12), st.integers(0, 12))
def test_bad_are_records_without_answers_of_splits_that_have_some(records, max_bad):
    rows = [
        Row(
            Example(str(k), "i", "what?", ["red"] if answered else [], split=split),
            ImageInput(data=b""),
            where=str(k),
        )
        for k, (split, answered) in enumerate(records)
    ]
    some = {split for split, answered in records if answered}
    bad = {row.where for row in rows if row.example.split in some and not row.example.answers}
    out = list(Withheld(max_bad).sift(iter(rows)))
    assert sorted(row.where for row in out if isinstance(row, BadRow)) == sorted(bad)
    if len(bad) <= max_bad:
        kept = [row.where for row in out if isinstance(row, Row)]
        assert sorted(kept) == sorted({row.where for row in rows} - bad)


def test_rows_are_not_read_far_ahead(tmp_path, make, rows_of, monkeypatch):
    """Memory does not grow with the source: rows are read as others are written."""
    written, lead = [], []
    write = StoreWriter.add_example
    monkeypatch.setattr(
        StoreWriter,
        "add_example",
        lambda writer, example: (written.append(1), write(writer, example)),
    )

    def rows():
        for number in range(1000):
            lead.append(number - len(written))
            yield make.row(split="train" if number % 2 else "test", answers=["a"] * (number % 2))

    prepare(rows_of(rows()), tmp_path / "store")
    assert len(written) == 1000
    assert max(lead) <= AHEAD + 1
