"""What a test could have found: against scipy's noncentral t."""

import pytest
from scipy.stats import chi2, nct, t

from vqa.evaluation.power import WHOLE_SCALE, detectable, likely_variance


@pytest.mark.parametrize("freedom", [2, 3, 4, 30])
@pytest.mark.parametrize("tests", [1, 5, 12])
def test_it_is_found_four_times_in_five(freedom: int, tests: int) -> None:
    bar = t.isf(0.025 / tests, freedom)
    assert nct.sf(bar, freedom, detectable(1.0, freedom, tests)) == pytest.approx(0.8, abs=1e-4)
    assert detectable(0.5, freedom, tests) == pytest.approx(detectable(1.0, freedom, tests) / 2)


def test_nothing_is_found_beyond_the_scale() -> None:
    assert detectable(30.0, 2, 12) == WHOLE_SCALE
    assert detectable(1.0, 1e-9) == WHOLE_SCALE
    assert detectable(0.0, 5) == 0


@pytest.mark.parametrize("freedom", [1, 2, 7])
def test_half_of_the_estimates_are_too_small(freedom: int) -> None:
    median = chi2.median(freedom) / freedom  # of estimates of a variance of 1
    assert likely_variance(median, freedom) == pytest.approx(1)
