"""Simulated pairs of runs whose truth is known, to check the tests and intervals of this package.

Questions on one image share luck: each run's chance of a right answer on a question has a part
common to the image, one common to both runs, and one of its own. Without a true difference both
runs have the same distribution.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from vqa.evaluation.bootstrap import (
    Floats,
    Ints,
    bca_bounds,
    bootstrap_means,
    image_sums,
)
from vqa.evaluation.power import LEVEL
from vqa.evaluation.sign_flips import sign_flip_p
from vqa.evaluation.significance import seeded_test


@dataclass(frozen=True, slots=True)
class World:
    """How the data arise.

    Attributes:
        images: number of images.
        questions: mean number of questions an image (1 + Poisson).
        easiness: mean of the latent scale; 0.5 gives about 65 % right.
        image_spread: standard deviation common to an image's questions in both runs.
        run_spread: standard deviation common to an image's questions in one run: what makes the
            usual test fail.
    """

    images: int = 250
    questions: float = 5.0
    easiness: float = 0.5
    image_spread: float = 0.7
    run_spread: float = 0.9

    def draw(self, rng: np.random.Generator) -> tuple[Floats, Floats, Ints]:
        """Scores of two runs without a true difference and image codes; each [questions]."""
        sizes = 1 + rng.poisson(self.questions - 1, self.images)
        codes = np.repeat(np.arange(self.images), sizes)
        shared = self.easiness + self.image_spread * rng.standard_normal(self.images)[codes]
        return self._run(rng, shared, codes), self._run(rng, shared, codes), codes

    def _run(self, rng: np.random.Generator, shared: Floats, codes: Ints) -> Floats:
        own = self.run_spread * rng.standard_normal(self.images)[codes]
        right = shared + own + rng.standard_normal(len(codes)) > 0
        return np.where(right, 100.0, 0.0)

    def true_mean(self) -> float:
        """The expected score: easiness over the spread of everything that is added to it."""
        from scipy.special import ndtr

        spread = np.sqrt(1 + self.image_spread**2 + self.run_spread**2)
        return float(100 * ndtr(self.easiness / spread))


def simulate(world: World, comparisons: int, resamples: int, seed: int) -> dict[str, float]:
    """Percent of simulated comparisons in which each test rejects at 5 %, and each interval covers
    the truth.

    Returns:
        `reject` (sign flips over images), `reject_unclustered`, `cover_difference` (BCa, truth 0),
        `cover_mean` (BCa of one run's accuracy), `cover_mean_percentile`.
    """
    rng = np.random.default_rng(seed)
    hits = [_one(world, resamples, rng) for _ in range(comparisons)]
    return {name: 100 * float(np.mean([hit[name] for hit in hits])) for name in hits[0]}


def simulate_seeds(
    seeds: int, ratio: float, comparisons: int, images: int = 150, seed: int = 0
) -> float:
    """Percent of comparisons without a true difference that `seeded_test` rejects at 5 %.

    Differences are normal: of seeds, of images, and of image and seed together, the last two alike.

    Args:
        seeds: runs of each variant, paired.
        ratio: variance of the difference over seeds, in variances over images.
    """
    rng = np.random.default_rng(seed)
    codes, spread = np.arange(images), np.sqrt(ratio / images)
    rejected = 0
    for _ in range(comparisons):
        gaps = (
            spread * rng.standard_normal(seeds)[:, None]
            + rng.standard_normal(images)
            + rng.standard_normal((seeds, images))
        )
        test = seeded_test(gaps, np.zeros_like(gaps), codes, paired=True, resamples=100)
        rejected += test.p_value <= 0.05
    return 100 * rejected / comparisons


def unclustered_test(a: Floats, b: Floats) -> float:
    """The p of the usual paired z test, which takes questions as independent.

    Here to be compared with: on clustered questions it rejects a true null hypothesis far too
    often.
    """
    gap = a - b
    error = gap.std(ddof=1) / math.sqrt(len(gap))
    return 1.0 if error == 0 else math.erfc(abs(gap.mean()) / error / math.sqrt(2))


def percentile_bounds(means: Floats) -> tuple[float, float]:
    """The plain percentile interval of resampled figures."""
    tail = (100 - LEVEL) / 2
    low, high = np.percentile(means, [tail, 100 - tail])
    return float(low), float(high)


def _one(world: World, resamples: int, rng: np.random.Generator) -> dict[str, bool]:
    a, b, codes = world.draw(rng)
    gap, single = image_sums(a - b, codes), image_sums(a, codes)
    means = bootstrap_means(single, resamples, rng)
    truth = world.true_mean()
    gap_low, gap_high = bca_bounds(gap, bootstrap_means(gap, resamples, rng))
    low, high = bca_bounds(single, means)
    plain_low, plain_high = percentile_bounds(means)
    return {
        "reject": sign_flip_p(gap.sums, resamples, rng) <= 0.05,
        "reject_unclustered": unclustered_test(a, b) <= 0.05,
        "cover_difference": gap_low <= 0 <= gap_high,
        "cover_mean": low <= truth <= high,
        "cover_mean_percentile": plain_low <= truth <= plain_high,
    }
