"""Weighted sums by image against a copy of the grid for every question."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vqa.model.attention import sums
from vqa.model.attention.sums import weighted_sums


@given(
    image=st.lists(st.integers(0, 5), min_size=1, max_size=14),
    glimpses=st.integers(1, 3),
    unused=st.integers(0, 2),
)
def test_values_and_gradients_are_those_of_a_copy_a_question(
    image: list[int], glimpses: int, unused: int
) -> None:
    image_of_question = torch.tensor(image)
    grid = torch.randn(max(image) + 1 + unused, 4, 3, dtype=torch.float64, requires_grad=True)
    weights = torch.rand(len(image), glimpses, 4, dtype=torch.float64, requires_grad=True)
    ours = weighted_sums(weights, grid, image_of_question)
    plain = torch.bmm(weights, grid[image_of_question])
    torch.testing.assert_close(ours, plain)
    direction = torch.randn_like(plain)
    for mine, right in zip(
        torch.autograd.grad(ours, (weights, grid), direction),
        torch.autograd.grad(plain, (weights, grid), direction),
        strict=True,
    ):
        torch.testing.assert_close(mine, right)


@pytest.mark.parametrize(
    ("image", "by_image"),
    [([0, 1, 0, 1], True), ([2, 1, 0], True), ([*[0] * 9, *range(1, 9)], False)],
)
def test_padding_is_bounded(
    image: list[int], by_image: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[int] = []
    inner = sums._by_image
    monkeypatch.setattr(sums, "_by_image", lambda *a: used.append(1) or inner(*a))
    grid = torch.randn(max(image) + 1, 4, 3)
    weighted_sums(torch.rand(len(image), 2, 4), grid, torch.tensor(image))
    assert bool(used) == by_image


def test_no_question_gives_no_sum() -> None:
    none = torch.zeros(0, dtype=torch.int64)
    assert weighted_sums(torch.rand(0, 2, 4), torch.randn(3, 4, 5), none).shape == (0, 2, 5)
