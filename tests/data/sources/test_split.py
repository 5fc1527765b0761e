"""A split by image: exact, seeded, and no image on both sides."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vqa.data.record import BadRow
from vqa.data.sources.split import SplitByImage, parse_shares
from vqa.errors import InputError

SHARES = {"train": 0.8, "val": 0.1, "test": 0.1}


def drawn(source, shares=SHARES, seed=0):
    """The split of each image."""
    return {
        row.example.image_id: row.example.split for row in SplitByImage(source, shares, seed).rows()
    }


def test_sizes_are_exact(make, rows_of):
    source = rows_of([make.row(image_id=str(k)) for k in range(10)])
    splits = list(drawn(source).values())
    assert [splits.count(name) for name in SHARES] == [8, 1, 1]


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(images=st.lists(st.integers(0, 30), min_size=1, max_size=60), seed=st.integers(0, 9))
def test_no_image_stands_in_two_splits(make, rows_of, images, seed):
    rows = [make.row(image_id=str(image), split="old") for image in images]
    split: dict[str, set[str]] = {}
    after = list(SplitByImage(rows_of(rows), SHARES, seed).rows())
    for row in after:
        split.setdefault(row.example.image_id, set()).add(row.example.split)
    assert all(len(splits) == 1 for splits in split.values())
    assert [row.example.question_id for row in after] == [row.example.question_id for row in rows]
    for name, share in SHARES.items():
        count = sum(splits == {name} for splits in split.values())
        assert abs(count - share * len(split)) <= 1


def test_the_draw_depends_on_the_seed_and_not_on_the_order(make, rows_of):
    rows = [make.row(image_id=str(k)) for k in range(40)]
    assert drawn(rows_of(rows)) == drawn(rows_of(rows[::-1]))
    assert drawn(rows_of(rows)) != drawn(rows_of(rows), seed=1)


def test_a_share_of_nothing_is_an_empty_split(make, rows_of):
    source = rows_of([make.row(image_id=str(k)) for k in range(5)])
    assert set(drawn(source, {"none": 0.0, "train": 1.0}).values()) == {"train"}


def test_bad_rows_pass(make, rows_of):
    bad = BadRow("file, record 0", "bad")
    assert next(SplitByImage(rows_of([bad, make.row()]), {"all": 1}).rows()) == bad


@pytest.mark.parametrize(
    "shares",
    [
        {"train": 0.5},
        {"a": 1.5, "b": -0.5},
        {"a": 0.9, "b": 0.3, "c": -0.2},
        {"": 0.5, "a": 0.5},
        {},
    ],
)
def test_wrong_shares_are_refused(rows_of, shares):
    with pytest.raises(InputError, match=r"train=0.8,val=0.1,test=0.1"):
        SplitByImage(rows_of([]), shares)


def test_shares_are_read():
    assert parse_shares("train=0.8, val=.1,test=0.1") == SHARES


@pytest.mark.parametrize("text", ["", "train", "train=x", "train=0.5,train=0.5", "0.8,0.2"])
def test_shares_that_cannot_be_read_are_refused(text):
    with pytest.raises(InputError, match="--split-by-image"):
        parse_shares(text)
