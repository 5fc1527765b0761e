"""What a difference between two runs on the same questions means.

The unit of chance is the image (see `bootstrap`). For runs A and B the difference of every question
is d = a − b; per image they add up. Under the null hypothesis that A and B are interchangeable each
image's sum is as likely positive as negative, so the permutation test flips the signs of whole
images: exact whatever the dependence within an image. The interval is the BCa cluster bootstrap of
the mean difference.

Sources: Efron 1987 (BCa); McNemar 1947; Holm 1979; Cochran 1977, section 6.3 (ratio estimators);
Satterthwaite 1946 (degrees of freedom of a sum of variances); see `sign_flips` and `power` too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from vqa.evaluation.bootstrap import (
    RESAMPLES,
    Floats,
    ImageSums,
    Ints,
    image_sums,
    mean_interval,
    standard_error,
)
from vqa.evaluation.power import LEVEL, WHOLE_SCALE, detectable, likely_variance
from vqa.evaluation.sign_flips import sign_flip_p

SIGN_FLIPS = "sign flips and BCa bootstrap over images"


@dataclass(frozen=True, slots=True)
class PairedTest:
    """The comparison of two score vectors over the same questions, on the scores' scale.

    Attributes:
        difference: mean of a − b.
        low, high: its 95 % interval.
        p_value: two-sided.
        standard_error: of the difference.
        likely_error, likely_freedom: what it probably is, and the degrees of freedom of its estimates: few seeds
            give estimates most of which are too small.
        detectable: the smallest true difference that this test would have found with 80 %
            probability; the whole scale where it could have found none (see `in_family`).
        images: number of clusters.
        method: how interval and p were got.
        scale: the largest difference that there can be.
    """

    difference: float
    low: float
    high: float
    p_value: float
    standard_error: float
    likely_error: float
    likely_freedom: float
    detectable: float
    images: int
    method: str
    scale: float = WHOLE_SCALE

    @property
    def digits(self) -> int:
        """Behind the point, in sentences."""
        return decimals((self.high - self.low) / 2)


class McNemar(NamedTuple):
    """Questions that only one of two runs gets right, and the exact two-sided p of so uneven a
    split.

    The test takes questions as independent. Where an image has several, its p is too small: read
    the clustered p beside it.
    """

    only_a: int
    only_b: int
    p_value: float


def paired_test(
    a: Floats,
    b: Floats,
    images: Ints,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    scale: float = WHOLE_SCALE,
) -> PairedTest:
    """Compare two runs' scores; `a`, `b` [questions], at most `scale` apart; `images` their image codes [questions].

    Raises:
        ValueError: the vectors differ in length, or there are fewer than two images.
    """
    data = _difference_sums(a, b, images)
    difference = float(data.sums.sum() / data.counts.sum())
    error = standard_error(data)
    interval = mean_interval(data, resamples=resamples, seed=seed, span=(-scale, scale))
    if interval is None:
        raise ValueError("a comparison needs at least two images")
    return PairedTest(
        difference=difference,
        low=interval.low,
        high=interval.high,
        p_value=sign_flip_p(data.sums, resamples, np.random.default_rng(seed + 1)),
        standard_error=error,
        likely_error=error,
        likely_freedom=interval.images - 1.0,
        detectable=detectable(error, interval.images - 1.0, scale=scale),
        images=interval.images,
        method=SIGN_FLIPS,
        scale=scale,
    )


def mcnemar(a: Floats, b: Floats) -> McNemar:
    """McNemar's exact test; `a` and `b` [questions] hold 0 and 100 only.

    Raises:
        ValueError: a score is neither 0 nor 100.
    """
    from scipy.stats import binomtest

    if not np.isin(np.concatenate([a, b]), (0.0, 100.0)).all():
        raise ValueError("McNemar's test needs scores that are right or wrong")
    only_a, only_b = int(np.sum(a > b)), int(np.sum(b > a))
    p_value = binomtest(only_a, only_a + only_b).pvalue if only_a + only_b else 1.0
    return McNemar(only_a, only_b, float(p_value))


def in_family(test: PairedTest, tests: int) -> PairedTest:
    """The test as one of so many that Holm corrects together: what it would have found at his first, strictest step.

    Sign flips of M images give no p below 2^(1−M): with too few images nothing can be found at all.
    """
    level = 1 - LEVEL / 100
    hopeless = test.method == SIGN_FLIPS and tests * 2.0 ** (1 - test.images) > level
    reach = detectable(test.likely_error, test.likely_freedom, tests, test.scale)
    return replace(test, detectable=test.scale if hopeless else reach)


def decimals(half_width: float) -> int:
    """As many digits behind the point as the half-width of an interval needs to be seen, at least one."""
    if half_width <= 0:
        return 1
    return min(6, max(1, -math.floor(math.log10(half_width))))


def signed_text(difference: float, low: float, high: float) -> str:
    """A difference with its interval: "+12.1 [8.0, 16.3]"."""
    digits = decimals((high - low) / 2)
    return f"{difference:+z.{digits}f} [{low:z.{digits}f}, {high:z.{digits}f}]"


def size_text(difference: float, low: float, high: float) -> str:
    """The same without its sign, where the sentence says who is ahead: "12.1 [8.0, 16.3]"."""
    bounds = (low, high) if difference >= 0 else (-high, -low)
    return signed_text(abs(difference), *bounds).removeprefix("+")


def power_text(test: PairedTest) -> str:
    """What a test that found nothing could have found, for the end of a sentence."""
    if test.standard_error == 0 and test.difference == 0:
        return "they score alike on every image"
    if test.detectable >= test.scale:
        return "too few images or seeds: this test could not have found any difference"
    return f"this test would have found {test.detectable:.{decimals(test.detectable)}f}"


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Holm's adjusted p of a family of tests: the chance of any false finding stays below the
    level."""
    adjusted: dict[str, float] = {}
    highest = 0.0
    for rank, name in enumerate(sorted(p_values, key=lambda key: p_values[key])):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[name]))
        adjusted[name] = highest
    return {name: adjusted[name] for name in p_values}


def seeded_test(
    a: Floats,
    b: Floats,
    images: Ints,
    *,
    paired: bool,
    resamples: int = RESAMPLES,
    seed: int = 0,
    scale: float = WHOLE_SCALE,
) -> PairedTest:
    """Compare two variants of several seeds each; `a` [seeds of A, questions], `b` [seeds of B,
    questions], at most `scale` apart.

    With one seed on both sides this is `paired_test`: it speaks of these trained models only. With more it speaks of
    the training recipes: the variance of the difference is that over images (of the means over seeds) plus that over
    seeds, less the noise of single image and seed that both contain (Cameron, Gelbach and Miller 2011, Robust
    inference with multiway clustering), and at least either of these two, which it cannot be below. A t interval with
    Satterthwaite's degrees of freedom, of all three variances, covers it. Simulated, it rejects a true
    null hypothesis 3 to 7 times in a hundred at the 5 % level; where seeds differ ten times as much as
    images do, 11 times with two seeds, 8 with three (`scripts/simulate_significance --seeds`).
    `paired` seeds share data order and initialisation row by row. A side of a single seed is taken to vary as the
    other one does (Crawford and Howell 1998, Comparing an individual's test score against norms derived from small
    samples).

    Raises:
        ValueError: lengths differ, or `paired` with unequal numbers of seeds.
    """
    if paired and len(a) != len(b):
        raise ValueError("paired seeds need the same number of runs on both sides")
    test = paired_test(a.mean(0), b.mean(0), images, resamples=resamples, seed=seed, scale=scale)
    spread = _spread([a - b] if paired else [a, b], images)
    return test if spread is None else _with_seeds(test, spread)


def mean_over_seeds(
    scores: Floats, images: Ints, *, resamples: int = RESAMPLES
) -> tuple[float, float]:
    """The 95 % interval of a variant's mean, over images and, where there are several seeds, over these as in
    `seeded_test`; `scores` [seeds, questions].

    Raises:
        ValueError: there are fewer than two images.
    """
    alone = mean_interval(image_sums(scores.mean(0), images), resamples=resamples)
    if alone is None:
        raise ValueError("an interval needs at least two images")
    spread = _spread([scores], images)
    if spread is None:
        return alone.low, alone.high
    error, freedom = _combined((alone.standard_error**2, alone.images - 1.0), spread)
    if error == 0:
        return alone.low, alone.high
    mean, reach = float(scores.mean()), _reach(freedom) * error
    return max(0.0, mean - reach), min(100.0, mean + reach)


def seed_summary(figures: Sequence[float]) -> dict[str, float | int | None]:
    """Mean, standard deviation (n − 1) and number of a variant's figures; no deviation for a single
    one."""
    spread = float(np.std(figures, ddof=1)) if len(figures) > 1 else None
    return {"mean": float(np.mean(figures)), "sd": spread, "n": len(figures)}


def _difference_sums(a: Floats, b: Floats, images: Ints) -> ImageSums:
    if not len(a) == len(b) == len(images):
        raise ValueError(f"{len(a)}, {len(b)} scores and {len(images)} images do not pair")
    return image_sums(a - b, images)


class _Spread(NamedTuple):
    """What seeds add to the doubt of a difference of means.

    Attributes:
        seeds: variance over seeds.
        freedom: its degrees of freedom.
        noise: the variance by what is neither the seed's nor the image's; `seeds` and that over images contain it.
    """

    seeds: float
    freedom: float
    noise: float


def _spread(sides: Sequence[Floats], images: Ints) -> _Spread | None:
    """Of the means of all sides, each [seeds, questions]; None where none has two seeds."""
    known = [_spread_of(side, images) for side in sides if len(side) > 1]
    if not known:
        return None
    if len(known) < len(sides):
        # One seed on the other side: its mean varies as a single seed of this side.
        seeds, freedom, noise = known[0]
        more = 1 + max(len(side) for side in sides)
        return _Spread(more * seeds, freedom, more * noise)
    if len(known) == 1:
        return known[0]
    seeds = sum(one.seeds for one in known)
    freedom = _satterthwaite(seeds, [(one.seeds, one.freedom) for one in known])
    return _Spread(seeds, freedom, sum(one.noise for one in known))


def _spread_of(scores: Floats, images: Ints) -> _Spread:
    """Of the mean of `scores` [seeds, questions]."""
    seeds = float(np.var(scores.mean(1), ddof=1) / len(scores))
    return _Spread(seeds, len(scores) - 1.0, _noise_variance(scores, images))


def _noise_variance(scores: Floats, images: Ints) -> float:
    """Variance of the mean of `scores` [seeds, questions] by what is neither the seed's nor the image's."""
    seeds, questions = scores.shape
    sums = np.stack([image_sums(row, images).sums for row in scores - scores.mean(1)[:, None]])
    rest = sums - sums.mean(0)
    count = sums.shape[1]
    square = float(np.sum(rest**2)) * count / (count - 1)
    return float(square / (seeds * (seeds - 1) * questions**2))


def _with_seeds(test: PairedTest, spread: _Spread) -> PairedTest:
    from scipy.special import stdtr

    over_images = (test.standard_error**2, test.images - 1.0)
    error, freedom = _combined(over_images, spread)
    if error == 0:
        return test
    reach = _reach(freedom) * error
    likely = spread._replace(seeds=likely_variance(spread.seeds, spread.freedom))
    likely_error, likely_freedom = _combined(over_images, likely)
    return replace(
        test,
        low=max(-test.scale, test.difference - reach),
        high=min(test.scale, test.difference + reach),
        p_value=float(2 * stdtr(freedom, -abs(test.difference) / error)),
        standard_error=error,
        likely_error=likely_error,
        likely_freedom=likely_freedom,
        detectable=detectable(likely_error, likely_freedom, scale=test.scale),
        method=f"t with {freedom:.1f} degrees of freedom over images and seeds",
    )


def _combined(over_images: tuple[float, float], spread: _Spread) -> tuple[float, float]:
    """The standard error over images and seeds, and its degrees of freedom.

    Args:
        over_images: the variance over images, and its degrees of freedom.
    """
    images, freedom = over_images
    variance = max(spread.seeds + images - spread.noise, images, spread.seeds)
    noise = (spread.noise, spread.freedom * freedom)
    parts = [(spread.seeds, spread.freedom), over_images, noise]
    least = min(spread.freedom, freedom)  # what is taken away leaves a total that has too few
    return math.sqrt(variance), max(_satterthwaite(variance, parts), least)


def _reach(freedom: float) -> float:
    """Half the width of a t interval, in standard errors."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, 0.5 + LEVEL / 200))


def _satterthwaite(total: float, parts: Sequence[tuple[float, float]]) -> float:
    """Degrees of freedom of a variance that is made of others, added or taken away.

    Args:
        total: the variance.
        parts: its parts, each with its own degrees of freedom.
    """
    below = sum(variance**2 / freedom for variance, freedom in parts)
    return total**2 / below if below else math.inf
