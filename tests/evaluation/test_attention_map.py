"""Attention over a picture: where the colour lies, and how a panel is laid out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from vqa.evaluation.attention_map import TILE, overlay, panel

GREY = Image.new("RGB", (80, 40), (128, 128, 128))


def lightness(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture.convert("L"), dtype=float)


@pytest.mark.parametrize(("row", "column"), [(0, 0), (0, 3), (1, 1), (1, 3)])
def test_the_brightest_place_is_where_the_weight_is(row, column) -> None:
    weights = np.zeros((2, 4))
    weights[row, column] = 1
    light = lightness(overlay(GREY, weights))
    y, x = np.unravel_index(light.argmax(), light.shape)
    assert (y * 2 // 40, x * 4 // 80) == (row, column)


@given(st.integers(1, 99))
def test_more_weight_is_never_darker(share) -> None:
    weights = np.array([[share, 100.0]])
    light = lightness(overlay(GREY, weights))
    assert light[20, 5] <= light[20, 75]
    even = np.array([[share, share]])
    assert np.ptp(lightness(overlay(GREY, even))) == 0


def test_an_overlay_has_the_size_of_its_picture_whatever_its_kind() -> None:
    weights = np.full((3, 3), 1 / 9)
    pixels = np.asarray(GREY)
    expected = np.asarray(overlay(GREY, weights))
    assert expected.shape == (40, 80, 3)
    assert (np.asarray(overlay(pixels, weights)) == expected).all()
    assert (np.asarray(overlay(pixels[..., 0], weights)) == expected).all()
    assert (np.asarray(overlay(pixels / 255, weights)) == expected).all()
    assert overlay(GREY.convert("RGBA"), np.zeros((1, 1))).size == (80, 40)


@pytest.mark.parametrize(
    "weights", [np.ones(3), np.ones((2, 2, 2)), [[np.nan]], [[-1.0]], np.zeros((0, 2))]
)
def test_what_is_no_map_is_refused(weights) -> None:
    with pytest.raises(ValueError, match="weights"):
        overlay(GREY, weights)


def test_a_panel_shows_the_picture_and_every_glimpse() -> None:
    alone = panel(GREY, None)
    two = panel(GREY, np.full((2, 4, 4), 1 / 16))
    titled = panel(GREY, np.full((2, 4, 4), 1 / 16), ["what is it?", "grey"])
    many = panel(GREY, np.full((8, 4, 4), 1 / 16))
    assert two.width >= 3 * TILE > alone.width >= TILE
    assert titled.height > two.height
    assert many.height > 2 * 160
    assert (np.asarray(two)[50, 50] == 128).all()


def test_a_flood_of_text_keeps_the_panel_small() -> None:
    words = "\x07word " * 10_000 + "ж" * 5000
    assert panel(GREY, None, [words, "short", ""]).height < 1000


def test_attention_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="glimpses"):
        panel(GREY, np.ones((4, 4)))
