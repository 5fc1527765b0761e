"""Which pictures are resident: what fits, what comes first, what is demanded."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vqa.data.memory import Held, MemoryPlan, place_splits

IMAGES = {"train": 100, "validation": 20}


@given(st.integers(-1000, 2000), st.integers(1, 20))
def test_no_more_is_resident_than_there_is_room(room: int, row_bytes: int) -> None:
    placed = place_splits(IMAGES, row_bytes, room, "auto")
    taken = sum(one.bytes for one in placed if one.resident)
    assert taken <= max(0, room)
    left = room
    for one in placed:  # and nothing is streamed that would have fitted
        assert one.bytes == row_bytes * IMAGES[one.split]
        assert one.resident == (one.bytes <= left)
        left -= one.bytes if one.resident else 0


@pytest.mark.parametrize(("wanted", "resident"), [("always", True), ("never", False)])
def test_what_is_demanded_is_done(wanted: str, resident: bool) -> None:
    placed = place_splits(IMAGES, 1, 0 if resident else 10**9, wanted)  # type: ignore[arg-type]
    assert [one.resident for one in placed] == [resident, resident]
    assert placed[0].why == f"data.resident={wanted}"


def test_a_plan_reads_as_it_is() -> None:
    splits = place_splits(IMAGES, 1_000_000, 105_000_000, "auto")
    plan = MemoryPlan(
        device="cpu",
        total=32_000_000_000,
        free=8_000_000_000,
        share=0.5,
        what="features 4×8 float16",
        source="from x",
        needs={"model": 5_000_000, "activations": 1_500},
        splits=splits,
    )
    assert plan.resident("train")
    assert not plan.resident("validation")
    assert plan.lines() == [
        "memory of cpu: 8.0 GB of 32.0 GB free, 50 % of that taken at most; model 5.0 MB, activations 1.5 KB",
        "pictures: features 4×8 float16, from x",
        "train: 100 pictures, 100.0 MB, resident (fits)",
        "validation: 20 pictures, 20.0 MB, streamed (5.0 MB are left for it)",
    ]
    assert plan.to_json()["splits"][1]["resident"] is False


SHARD = Held(50, "1 of 2")


@pytest.mark.parametrize(
    ("room", "held", "resident", "why"),
    [
        (100, 100, True, "fits"),
        (99, 50, True, "fits, where all of it does not"),
        (49, 100, False, "49 bytes are left for it"),
    ],
)
def test_a_shard_is_resident_where_all_of_a_split_is_too_much(
    room: int, held: int, resident: bool, why: str
) -> None:
    shards = {"train": (Held(100), SHARD)}
    [train, _] = place_splits(IMAGES, 1, room, "auto", shards)
    assert (train.held, train.bytes, train.resident) == (held, held, resident)
    assert train.shard == (SHARD.shard if held == 50 else None)
    assert train.why.startswith(why.split()[0])


def test_what_was_begun_in_shards_stays_in_shards_even_where_it_is_streamed() -> None:
    shards = {"train": (SHARD,)}
    for room, resident in ((1000, True), (10, False)):
        [train, validation] = place_splits(IMAGES, 1, room, "auto", shards)
        assert (train.shard, train.resident) == ("1 of 2", resident)
        assert validation.shard is None
    [train, _] = place_splits(IMAGES, 1_000_000, 0, "shards", shards)
    assert train.line() == (
        "train: 50 of 100 pictures, shard 1 of 2, 50.0 MB, resident (data.resident=shards)"
    )
