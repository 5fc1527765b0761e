"""The permutation test of paired differences: how often would coin tosses do as well.

Sources: Noreen 1989 (randomisation tests); Siegmund 1976 and Davison and Hinkley 1997, section 9.4 (importance
sampling of tail probabilities by exponential tilting).
"""

from __future__ import annotations

import sys

import numpy as np

from vqa.evaluation.bootstrap import CHUNK_ELEMENTS, Floats, Ints


def sign_flip_p(sums: Floats, flips: int, rng: np.random.Generator) -> float:
    """Two-sided p of the total of `sums` [images] when each image's sign is a coin toss.

    The coins that are tossed are loaded so that they reach the observed total half of the time, and each
    arrangement that does counts as much as it is likelier with fair coins: unbiased, and as exact for a p of 1e-9 as
    for one of 0.1, where fair coins give none below one over their tosses, too few for Holm's correction of many
    tests. Simulated, `flips` of 10,000 give p to 1 or 2 % of itself.

    Fast like the bootstrap: images whose sums are equal in size are interchangeable, so the number of pluses among
    them is binomial. The observed signs and their mirror image count among the arrangements (p is never 0).
    """
    rounded = np.round(np.abs(sums), 9).astype(np.float64)
    sizes, multiplicity = np.unique(rounded[rounded > 0], return_counts=True)
    most = float(sizes @ multiplicity)
    observed, slack = abs(float(sums.sum())), 1e-9 * most
    if not len(sizes) or observed <= slack:
        return 1.0
    least = max(2.0 ** (1 - int(multiplicity.sum())), sys.float_info.min)
    if observed >= most - slack:
        return least
    return min(1.0, max(least, 2 * _tail(sizes, multiplicity, observed - slack, flips, rng)))


def _tail(
    sizes: Floats, multiplicity: Ints, observed: float, flips: int, rng: np.random.Generator
) -> float:
    """The probability that fair signs of `multiplicity` images of each of `sizes` reach a total of `observed`."""
    from scipy.special import expit

    tilt = _tilt(sizes, multiplicity, observed)
    growth = float(multiplicity @ (np.logaddexp(tilt * sizes, -tilt * sizes) - np.log(2)))
    loaded, weight = expit(2 * tilt * sizes), 0.0
    alone = multiplicity == 1  # a coin each, many times as fast as binomial numbers
    step = max(1, CHUNK_ELEMENTS // len(sizes))
    for start in range(0, flips, step):
        rows = min(step, flips - start)
        heads = rng.random((rows, int(alone.sum()))) < loaded[alone]
        pluses = rng.binomial(multiplicity[~alone], loaded[~alone], (rows, int((~alone).sum())))
        totals = 2 * (heads @ sizes[alone] + pluses @ sizes[~alone]) - multiplicity @ sizes
        weight += float(np.exp(growth - tilt * totals[totals >= observed]).sum())
    return weight / flips


def _tilt(sizes: Floats, multiplicity: Ints, observed: float) -> float:
    """The loading of the coins, as log odds per point, with which the mean total is `observed`."""
    from scipy.optimize import brentq

    def short(tilt: float) -> float:
        return float(multiplicity @ (sizes * np.tanh(tilt * sizes))) - observed

    high = 1 / float(sizes[-1])
    while short(high) < 0:
        high *= 2
    return float(brentq(short, 0, high))
