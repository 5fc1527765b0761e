"""Weights of regions as a map over the picture."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from vqa.evaluation.attention_map import CELLS, painted

SHARES = st.floats(0, 1, width=32)


def test_a_weight_lies_on_its_box() -> None:
    boxes = np.asarray([[0, 0, 0.5, 1], [0.5, 0, 1, 0.5], [0, 0, 0, 0]])
    found = painted(np.asarray([[0.7, 0.2, 0.1]]), boxes)
    assert found is not None
    assert found.shape == (1, CELLS, CELLS)
    half = CELLS // 2
    assert found[0, :, :half] == pytest.approx(0.7)
    assert found[0, :half, half:] == pytest.approx(0.2)
    assert not found[0, half:, half:].any()


def test_overlapping_weights_add_and_thin_boxes_count_by_their_share() -> None:
    boxes = np.asarray([[0, 0, 1, 1, 1, 1], [0, 0, 0.25 / CELLS, 1, 0, 1]])
    found = painted(np.asarray([[0.5, 0.4]]), boxes)
    assert found is not None
    assert found[0, :, 0] == pytest.approx(0.6)
    assert found[0, :, 1:] == pytest.approx(0.5)


def test_without_boxes_there_is_no_map() -> None:
    assert painted(np.ones((1, 3)), np.zeros((3, 0))) is None


@given(arrays(np.float32, (2, 5), elements=SHARES), arrays(np.float32, (5, 2, 2), elements=SHARES))
def test_what_is_painted_is_weight_times_area(weights: np.ndarray, corners: np.ndarray) -> None:
    boxes = np.concatenate((corners.min(1), corners.max(1)), axis=1)
    found = painted(weights, boxes)
    assert found is not None
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    assert found.min() >= 0
    assert found.mean((1, 2)) == pytest.approx(weights @ areas, abs=1e-4)
