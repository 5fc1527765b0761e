"""Confidence intervals by resampling images.

Questions about one image are not independent, so the unit that is drawn is the image: a resample
draws as many images as there are, with replacement, and its figure is the sum of the drawn images'
scores over the sum of their question counts (a ratio estimator; the number of questions varies from
resample to resample).

Exact and fast: an image enters only through its pair (sum of scores, count of questions). Images
with the same pair are interchangeable, so the number of times that each *pair* is drawn is
multinomial, and drawing those few numbers is the same lottery as drawing every image. Scores of
0/30/60/90/100 give some hundred pairs whatever the number of images.

Sources: Efron and Tibshirani, An Introduction to the Bootstrap, chapters 6, 13 and 14 (BCa); Field
and Welsh 2007, Bootstrapping clustered data (the cluster bootstrap).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vqa.errors import InputError
from vqa.evaluation.power import LEVEL

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

RESAMPLES = 10_000
LEAST_RESAMPLES = 100
CHUNK_ELEMENTS = 2_000_000
"""Multinomial counts held at once: 16 MB."""


class ImageSums(NamedTuple):
    """One entry an image: the sum of its questions' scores and their count; both [images]."""

    sums: Floats
    counts: Floats


@dataclass(frozen=True, slots=True)
class Interval:
    """A confidence interval of a mean of scores.

    Attributes:
        low, high: the bounds, on the scores' scale.
        level: percent, `LEVEL`.
        method: "bca", or "clopper-pearson" where every image scores alike.
        standard_error: of the mean, allowing for the images as clusters.
        images: number of clusters.
        resamples: of the bootstrap.
    """

    low: float
    high: float
    level: float
    method: str
    standard_error: float
    images: int
    resamples: int

    def to_json(self, digits: int = 4) -> dict[str, Any]:
        """A JSON-ready object, rounded."""
        return {
            name: round(value, digits) if isinstance(value, float) else value
            for name, value in asdict(self).items()
        }


def check_resamples(resamples: int, *, none: bool = False) -> None:
    """Refuse so few resamples that an interval's ends are those of single ones.

    Args:
        none: 0, for no interval, is allowed.

    Raises:
        InputError: it is below `LEAST_RESAMPLES`.
    """
    if resamples >= LEAST_RESAMPLES or (none and resamples == 0):
        return
    raise InputError(
        f"{resamples} is too few, at least {LEAST_RESAMPLES} are needed",
        where="--resamples",
        fix=f"leave it out for {RESAMPLES}{', or give 0 for no interval' if none else ''}",
    )


def codes(keys: Iterable[Hashable]) -> Ints:
    """Number the distinct keys from 0 in the order in which they come; int64 [keys]."""
    numbers: dict[Hashable, int] = {}
    return np.fromiter((numbers.setdefault(key, len(numbers)) for key in keys), dtype=np.int64)


def image_sums(
    scores: Sequence[float] | Floats, images: Ints, count: int | None = None
) -> ImageSums:
    """Sum `scores` [questions] by image code; `count` images in all, those without a question with
    0 of 0."""
    size = int(images.max()) + 1 if count is None and len(images) else (count or 0)
    values = np.asarray(scores, dtype=np.float64)
    sums = np.bincount(images, weights=values, minlength=size).astype(np.float64)
    return ImageSums(sums, np.bincount(images, minlength=size).astype(np.float64))


def standard_error(data: ImageSums) -> float:
    """Standard error of the ratio sum/count by linearisation over clusters (Cochran 1977, section
    6.3).

    sqrt(M/(M−1) Σ (s_i − θ n_i)²) / Σ n_i for M images; NaN for fewer than two.
    """
    images = np.count_nonzero(data.counts)
    if images < 2:
        return float("nan")
    residuals = data.sums - data.counts * (data.sums.sum() / data.counts.sum())
    return float(np.sqrt(images / (images - 1) * np.sum(residuals**2)) / data.counts.sum())


def bootstrap_means(data: ImageSums, resamples: int, rng: np.random.Generator) -> Floats:
    """The figure of every resample; float64 [resamples], fewer where a resample holds no question
    at all."""
    pairs, multiplicity = _distinct(data)
    few = len(pairs) <= max(64, len(data.sums) // 16)
    draw = _by_pair if few else _by_image
    sums, counts = draw(pairs, multiplicity, resamples, rng)
    held = counts > 0
    return sums[held] / counts[held]


def mean_interval(
    data: ImageSums,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    span: tuple[float, float] = (0.0, 100.0),
) -> Interval | None:
    """The BCa bootstrap interval of sum/count over images; None for fewer than two images with
    questions.

    BCa rather than the plain percentile interval: accuracies near 0 or 100 and images with many
    questions make the resampled figures skew and biased, and BCa corrects both (second-order
    accurate). The simulation in `scripts/simulate_significance` shows its coverage beside that of
    the percentile interval. Where every image scores alike, all resamples do and the bootstrap
    would claim certainty; then it is the exact binomial bound on how many images may score
    otherwise, each anything in `span` (−100 to 100 for a difference).
    """
    images = int(np.count_nonzero(data.counts))
    if images < 2:
        return None
    mean = float(data.sums.sum() / data.counts.sum())
    if np.allclose(data.sums, mean * data.counts, rtol=0, atol=1e-7):
        low, high = _all_alike(mean, images, span)
        return Interval(low, high, LEVEL, "clopper-pearson", 0.0, images, 0)
    means = bootstrap_means(data, resamples, np.random.default_rng(seed))
    low, high = bca_bounds(data, means)
    return Interval(low, high, LEVEL, "bca", standard_error(data), images, resamples)


def bca_bounds(data: ImageSums, means: Floats) -> tuple[float, float]:
    """The bias-corrected and accelerated interval from resampled figures (Efron 1987)."""
    theta = data.sums.sum() / data.counts.sum()
    slack = 1e-9 * max(1.0, abs(theta))
    below = np.mean(means < theta - slack) + np.mean(np.abs(means - theta) <= slack) / 2
    normal = NormalDist()
    bias = normal.inv_cdf(float(np.clip(below, 1 / len(means), 1 - 1 / len(means))))
    curve, quantiles = acceleration(data), []
    for tail in ((1 - LEVEL / 100) / 2, (1 + LEVEL / 100) / 2):
        shifted = bias + normal.inv_cdf(tail)
        quantiles.append(normal.cdf(bias + shifted / (1 - curve * shifted)))
    low, high = np.quantile(means, quantiles)
    return float(low), float(high)


def acceleration(data: ImageSums) -> float:
    """BCa's acceleration: a sixth of the skewness of the figures with one image left out."""
    total, count = data.sums.sum(), data.counts.sum()
    left = count - data.counts
    kept = left > 0
    without = (total - data.sums[kept]) / left[kept]
    spread = without.mean() - without
    squares = spread * spread
    scale = float(squares.sum()) ** 1.5
    return float((squares * spread).sum() / (6 * scale)) if scale > 0 else 0.0


def _distinct(data: ImageSums) -> tuple[Floats, Ints]:
    """The distinct (sum, count) pairs [pairs, 2] and the number of images of each [pairs].

    Complex numbers sort by real part, then imaginary part, and much faster than rows; images without a
    question, most of them in a small group, need no sorting.
    """
    held = data.counts > 0
    keys = np.round(data.sums[held], 9) + 1j * data.counts[held]
    found, multiplicity = np.unique(keys, return_counts=True)
    empty = len(held) - int(np.count_nonzero(held))
    if empty:
        found, multiplicity = np.append(found, 0), np.append(multiplicity, empty)
    return np.stack([found.real, found.imag], axis=1), multiplicity


def _by_pair(
    pairs: Floats, multiplicity: Ints, resamples: int, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Sums and counts of resamples by drawing how often every pair comes; each [resamples]."""
    images = int(multiplicity.sum())
    shares = multiplicity / images
    totals = np.empty((resamples, 2))
    step = max(1, CHUNK_ELEMENTS // len(pairs))
    for start in range(0, resamples, step):
        size = min(step, resamples - start)
        totals[start : start + size] = rng.multinomial(images, shares, size=size) @ pairs
    return totals[:, 0], totals[:, 1]


def _by_image(
    pairs: Floats, multiplicity: Ints, resamples: int, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """The same by drawing image for image; quicker where nearly every image has its own pair."""
    rows = np.repeat(pairs, multiplicity, axis=0)
    sums, counts = np.ascontiguousarray(rows[:, 0]), np.ascontiguousarray(rows[:, 1])
    even = bool((counts == counts[0]).all())
    totals = np.empty((resamples, 2))
    for row in totals:
        drawn = rng.integers(0, len(sums), size=len(sums), dtype=np.int32)
        row[0] = sums[drawn].sum()
        row[1] = counts.sum() if even else counts[drawn].sum()
    return totals[:, 0], totals[:, 1]


def _all_alike(mean: float, images: int, span: tuple[float, float]) -> tuple[float, float]:
    """The bounds of a mean when as many other images score otherwise as Clopper and Pearson allow where none of
    `images` does."""
    others = 1 - ((1 - LEVEL / 100) / 2) ** (1 / images)
    lowest, highest = span
    return mean - others * (mean - lowest), mean + others * (highest - mean)
