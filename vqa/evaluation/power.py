"""What a test could have found.

Source: Johnson and Welch 1940, Applications of the non-central t-distribution.
"""

from __future__ import annotations

import numpy as np

POWER = 0.80
LEVEL = 95.0
WHOLE_SCALE = 100.0
LEAST_FREEDOM = 0.5
GRID = 500
"""Points at which the chance of a finding is averaged: four digits, checked against scipy's noncentral t."""


def detectable(error: float, freedom: float, tests: int = 1, scale: float = WHOLE_SCALE) -> float:
    """The true difference that a two-sided t test finds with probability `POWER` as one of so many that Holm corrects
    together, at his first, strictest step.

    `scale`, the largest difference that there can be, where it is no smaller. With many degrees of freedom (z of the
    level + z of the power) · error = 2.80 · error for a single test.

    Args:
        error: the standard error.
        freedom: of the estimates of it.
    """
    from scipy.optimize import brentq
    from scipy.special import gammaincinv, ndtr, stdtrit

    freedom = max(freedom, LEAST_FREEDOM)
    quantiles = (np.arange(GRID) + 0.5) / GRID
    errors = np.sqrt(2 * gammaincinv(freedom / 2, quantiles) / freedom)  # estimated over true one
    bars = stdtrit(freedom, 1 - (1 - LEVEL / 100) / (2 * tests)) * errors

    def missed(distance: float) -> float:
        return POWER - float(ndtr(distance - bars).mean())

    return min(scale, float(brentq(missed, 0, bars.max() + 10)) * error)


def likely_variance(estimate: float, freedom: float) -> float:
    """The variance that an estimate of it, chi-square distributed, falls below as often as above.

    Of two or three seeds most estimates are too small: what a test could find would be promised too often.
    """
    from scipy.special import gammaincinv

    if estimate == 0:
        return 0.0
    return estimate * freedom / (2 * float(gammaincinv(freedom / 2, 0.5)))
