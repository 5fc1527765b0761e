"""The permutation test: against every arrangement, and against the binomial far in the tail."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vqa.evaluation.sign_flips import sign_flip_p


def p_of(sums: list[float], flips: int = 4000) -> float:
    return sign_flip_p(np.array(sums, dtype=float), flips, np.random.default_rng(0))


@given(st.lists(st.integers(-3, 3), min_size=1, max_size=9))
def test_sign_flips_are_those_of_every_arrangement(sums: list[int]) -> None:
    values = np.array(sums, dtype=float)
    totals = [abs(np.dot(signs, values)) for signs in itertools.product((-1, 1), repeat=len(sums))]
    exact = np.mean(np.array(totals) >= abs(values.sum()) - 1e-9)
    assert p_of(sums) == pytest.approx(exact, abs=0.045)


def test_sums_that_are_nought_but_for_rounding_tell_nothing() -> None:
    assert p_of([1e-14, 2e-14, 0.0]) == 1.0


@pytest.mark.parametrize(("images", "minus"), [(20, 2), (60, 10), (300, 10), (300, 130)])
def test_a_small_p_is_as_exact_as_a_large_one(images: int, minus: int) -> None:
    """Sums of one size: the number of pluses is binomial. Fair coins would give none below one over their tosses."""
    from scipy.stats import binom

    exact = 2 * binom.cdf(minus, images, 0.5)
    sums = [1.0] * (images - minus) + [-1.0] * minus
    assert p_of(sums, 10_000) == pytest.approx(exact, rel=0.1)
    assert p_of(sums, 100) == pytest.approx(exact, rel=0.5)


def test_sums_of_unlike_sizes_far_in_the_tail() -> None:
    sizes = np.random.default_rng(3).integers(1, 40, 16)
    signs = np.where(np.arange(16) == np.argmin(sizes), -1, 1)
    every = np.array(list(itertools.product((-1, 1), repeat=16))) @ sizes
    exact = np.mean(np.abs(every) >= sizes @ signs)
    assert exact < 0.0002
    assert p_of((sizes * signs).tolist(), 10_000) == pytest.approx(exact, rel=0.1)


def test_the_ends() -> None:
    assert p_of([0, 0]) == 1
    assert p_of([3, -3, 0]) == 1
    assert p_of([3, 2, 1]) == 0.25
    assert p_of([-1] * 2000) > 0
