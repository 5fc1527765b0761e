"""Where each position is, behind its channels."""

from __future__ import annotations

from itertools import product

import torch
from torch import Tensor

from vqa.model.config import ModelConfig, Sizes
from vqa.model.places import grid_coordinates, grid_waves

SIZES = Sizes(image_height=24, image_width=32, words=12, answers=5)


def test_coordinates_run_from_the_top_left() -> None:
    places = grid_coordinates((2, 3))[0]
    assert places.tolist() == [[-1, -1], [0, -1], [1, -1], [-1, 1], [0, 1], [1, 1]]
    assert grid_coordinates((1, 1)).tolist() == [[[0, 0]]]


def test_waves_are_sines_and_cosines_by_octave() -> None:
    waves, places = grid_waves((2, 3), 2)[0], grid_coordinates((2, 3))[0]
    assert waves.shape == (6, 8)
    for column, (function, factor) in enumerate(product((torch.sin, torch.cos), (0.5, 1.0))):
        start = 2 * (column // 2) + 4 * (column % 2)
        expected = function(torch.pi * factor * places)
        torch.testing.assert_close(waves[:, start : start + 2], expected)
    assert len({tuple(row) for row in grid_waves((5, 5), 2)[0].tolist()}) == 25


def test_octaves_stand_behind_the_coordinates() -> None:
    network = ModelConfig(coordinates=True, octaves=3).build(SIZES)
    assert network.attention.dim == 128 + 2 + 12
    assert network.places.shape == (1, network.image_encoder.positions, 14)


def test_coordinates_let_a_blind_pool_tell_where(image_of_question: Tensor) -> None:
    grids = {
        coordinates: ModelConfig(coordinates=coordinates).build(SIZES).attention.dim
        for coordinates in (False, True)
    }
    assert grids == {False: 128, True: 130}
