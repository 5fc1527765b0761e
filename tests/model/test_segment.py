"""Reductions over runs of a flat tensor."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from vqa.model.segment import segment_log_softmax, segment_starts


@given(st.lists(st.lists(st.floats(-1e4, 1e4, width=32), max_size=5), min_size=1, max_size=6))
def test_log_softmax_equals_each_segments_own(rows: list[list[float]]) -> None:
    scores = torch.tensor([x for row in rows for x in row])
    segment = torch.tensor([i for i, row in enumerate(rows) for _ in row], dtype=torch.long)
    expected = [torch.tensor(row).log_softmax(0) for row in rows if row]
    got = segment_log_softmax(scores, segment, len(rows))
    torch.testing.assert_close(got, torch.cat([torch.zeros(0), *expected]))


def test_order_within_the_batch_does_not_matter() -> None:
    scores, segment = torch.randn(9), torch.tensor([2, 0, 1, 2, 1, 0, 0, 2, 1])
    order = segment.argsort()
    sorted_result = segment_log_softmax(scores[order], segment[order], 3)
    torch.testing.assert_close(segment_log_softmax(scores, segment, 3)[order], sorted_result)


def test_gradients_are_exact() -> None:
    scores = torch.randn(7, dtype=torch.float64, requires_grad=True)
    segment = torch.tensor([0, 0, 2, 2, 2, 3, 3])
    assert torch.autograd.gradcheck(lambda s: segment_log_softmax(s, segment, 4), (scores,))


def test_half_precision_is_summed_in_single() -> None:
    scores = torch.full((3000,), 8.0, dtype=torch.bfloat16)
    got = segment_log_softmax(scores, torch.zeros(3000, dtype=torch.long), 1)
    assert got.dtype == torch.float32
    torch.testing.assert_close(got.exp().sum(), torch.tensor(1.0))


@given(st.lists(st.integers(0, 4), min_size=1, max_size=8))
def test_starts(counts: list[int]) -> None:
    segment = torch.tensor([i for i, n in enumerate(counts) for _ in range(n)], dtype=torch.long)
    expected = [sum(counts[:i]) for i in range(len(counts))]
    assert segment_starts(segment, len(counts)).tolist() == expected
