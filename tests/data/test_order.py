"""In which order questions are met, whatever the processes, groups and restarts."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from vqa.data.order import Position, Stream, batches_an_epoch, epoch_order, owners, shares

images = st.lists(st.integers(0, 6), min_size=1, max_size=40).map(np.asarray)
grouping = st.sampled_from(
    [
        {"grouped": False},
        {"grouped": True},
        *({"grouped": True, "group_size": n} for n in (1, 2, 3, 5)),
    ]
)


@given(images, st.integers(0, 5), st.integers(0, 5), grouping)
def test_an_epoch_meets_every_question_once(image, seed, epoch, grouped) -> None:
    order = epoch_order(image, seed, epoch, **grouped)
    assert sorted(order) == list(range(len(image)))
    assert (order == epoch_order(image, seed, epoch, **grouped)).all()


@given(images, st.integers(0, 5))
def test_grouped_keeps_the_questions_of_an_image_together(image, seed) -> None:
    met = image[epoch_order(image, seed, 0, grouped=True)]
    runs = 1 + np.count_nonzero(met[1:] != met[:-1])
    assert runs == len(set(image.tolist()))


@given(images, st.integers(0, 5), st.integers(2, 5))
def test_a_number_keeps_so_many_questions_of_an_image_together(image, seed, size) -> None:
    met = image[epoch_order(image, seed, 0, grouped=True, group_size=size)]
    lengths = np.diff(np.flatnonzero(np.r_[True, met[1:] != met[:-1], True]))
    assert len(lengths) <= sum(-(-np.bincount(image) // size))
    for one in set(image.tolist()):  # of an image's groups one alone may be small
        assert sum(lengths[met[np.cumsum(lengths) - 1] == one] % size > 0) <= 1


def test_groups_are_shuffled_and_chosen_anew_in_each_epoch() -> None:
    image = np.repeat(np.arange(50), 8)
    first, second = (
        epoch_order(image, 0, epoch, grouped=True, group_size=4).reshape(-1, 4) for epoch in (0, 1)
    )
    assert len({frozenset(group) for group in first} & {frozenset(group) for group in second}) < 20
    assert sum(image[a[0]] == image[b[0]] for a, b in pairwise(first)) < 10


def test_epochs_and_seeds_differ() -> None:
    image = np.arange(100)
    orders = [
        epoch_order(image, seed, epoch, grouped=False).tolist()
        for seed in (0, 1)
        for epoch in (0, 1)
    ]
    assert len({tuple(order) for order in orders}) == 4


@given(images, st.integers(1, 12), st.integers(0, 3), grouping, st.integers(1, 60))
def test_a_stream_goes_on_from_any_batch(image, batch_size, seed, grouped, cut) -> None:
    stream = Stream(image, batch_size, seed, **grouped)
    total = 3 * len(stream)
    cut = cut % total
    whole = list(stream.batches(Position(), total))
    rest = list(stream.batches(Position(*divmod(cut, len(stream))), total - cut))
    assert [(p, i.tolist(), n) for p, i, n in whole[cut:]] == [
        (p, i.tolist(), n) for p, i, n in rest
    ]


@given(images, st.integers(1, 4), st.integers(1, 4), grouping)
def test_processes_share_the_batches_of_one_process(image, world, each, grouped) -> None:
    alone = Stream(image, world * each, 0, **grouped)
    ranks = [
        Stream(image, world * each, 0, rank=rank, world=world, **grouped) for rank in range(world)
    ]
    count = len(ranks[0])
    parts = [list(rank.batches(Position(), count)) for rank in ranks]
    for k, (_, index, whole) in enumerate(alone.batches(Position(), count)):
        assert np.concatenate([part[k][1] for part in parts]).tolist() == index.tolist()
        assert all(part[k][2] == whole for part in parts)
        assert all(len(part[k][1]) for part in parts)


@given(images, st.integers(1, 4), st.integers(1, 4), grouping, st.booleans())
def test_owners_share_the_batches_of_one_process_too(
    image, world, each, grouped, by_length
) -> None:
    """Each question of a global batch is met once, by the process that has its image."""
    size, length = world * each, image % 3 if by_length else None
    alone = Stream(image, size, 0, length=length, **grouped)
    owner = owners(7, world)
    shared = {"length": length, "owner": owner, **grouped}
    ranks = [Stream(image, size, 0, rank=rank, world=world, **shared) for rank in range(world)]
    count = len(ranks[0])
    parts = [list(rank.batches(Position(), count)) for rank in ranks]
    for k, (position, index, whole) in enumerate(alone.batches(Position(), count)):
        own = [part[k] for part in parts]
        assert sorted(np.concatenate([i for _, i, _ in own])) == sorted(index)
        assert all((p, n) == (position, whole) for p, _, n in own)
        assert all((owner[image[i]] == rank).all() for rank, (_, i, _) in enumerate(own))


@given(images, st.integers(1, 4), st.integers(0, 9), st.integers(1, 9))
def test_who_has_no_question_of_a_batch_stands_in_with_its_own(image, world, k, count) -> None:
    owner = owners(7, world)
    for rank in range(world):
        own = np.flatnonzero(owner[image] == rank)
        stream = Stream(image, 4, 0, False, rank, world, owner=owner)
        found = stream.stand_in(Position(1, k), count)
        assert set(found) <= set(own)
        assert len(set(found)) == len(found) == min(count, len(own))
        assert found.tolist() == stream.stand_in(Position(1, k), count).tolist()


lengths = st.lists(st.integers(1, 4), min_size=1, max_size=60).map(np.asarray)


@given(lengths, st.integers(1, 9), st.integers(0, 3), st.integers(0, 3))
def test_by_length_every_question_is_met_once_and_full_batches_mix_only_where_lengths_meet(
    length, batch_size, seed, epoch
) -> None:
    stream = Stream(np.zeros(len(length), dtype=int), batch_size, seed, False, length=length)
    batches = [index for _, index, _ in stream.batches(Position(epoch), len(stream))]
    assert sorted(np.concatenate(batches)) == list(range(len(length)))
    kinds = [len(set(length[index])) for index in batches if len(index) == batch_size]
    assert sum(kind - 1 for kind in kinds) < len(set(length))


@given(lengths, st.integers(1, 9), st.integers(1, 60))
def test_by_length_a_stream_goes_on_from_any_batch(length, batch_size, cut) -> None:
    stream = Stream(np.zeros(len(length), dtype=int), batch_size, 1, False, length=length)
    total = 3 * len(stream)
    cut = cut % total
    whole = [(p, i.tolist()) for p, i, _ in stream.batches(Position(), total)]
    start = Position(*divmod(cut, len(stream)))
    assert [(p, i.tolist()) for p, i, _ in stream.batches(start, total - cut)] == whole[cut:]


def test_by_length_batches_come_in_another_order_each_epoch_and_the_longest_are_not_last() -> None:
    length = np.repeat([2, 5, 9], 40)
    stream = Stream(np.zeros(120, dtype=int), 7, 0, False, length=length)
    epochs = [
        [index for _, index, _ in stream.batches(Position(epoch), len(stream))]
        for epoch in range(30)
    ]
    assert len({tuple(length[b[0]] for b in batches) for batches in epochs}) > 20
    assert set(length[np.concatenate([batches[-1] for batches in epochs])]) == {2, 5, 9}


@given(st.integers(0, 50), st.integers(1, 9), st.integers(1, 5))
def test_shares_cover_every_question_once_in_the_same_batches(count, batch_size, world) -> None:
    batches = [b.tolist() for rank in range(world) for b in shares(count, batch_size, rank, world)]
    assert sorted(q for b in batches for q in b) == list(range(count))
    alone = [b.tolist() for b in shares(count, batch_size)]
    assert sorted(batches) == sorted(alone)


def test_a_last_batch_with_fewer_questions_than_processes_is_left_out() -> None:
    assert batches_an_epoch(10, 4, 2) == 3
    assert batches_an_epoch(9, 4, 2) == 2
    assert batches_an_epoch(1, 4, 2) == 0
