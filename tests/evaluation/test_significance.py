"""The statistics: against brute force, against closed forms, and on simulated truth."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from vqa.evaluation.bootstrap import (
    ImageSums,
    _by_image,
    _by_pair,
    _distinct,
    acceleration,
    bootstrap_means,
    codes,
    image_sums,
    mean_interval,
    standard_error,
)
from vqa.evaluation.power import detectable
from vqa.evaluation.sign_flips import sign_flip_p
from vqa.evaluation.significance import (
    PairedTest,
    decimals,
    holm,
    in_family,
    mcnemar,
    mean_over_seeds,
    paired_test,
    power_text,
    seed_summary,
    seeded_test,
)
from vqa.evaluation.simulation import World, simulate, simulate_seeds


def data(seed: int = 0, images: int = 40) -> ImageSums:
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, 6, images).astype(float)
    return ImageSums(100.0 * rng.binomial(counts.astype(int), 0.6), counts)


def test_codes_and_sums() -> None:
    images = codes(["b", "a", "b", "c"])
    assert images.tolist() == [0, 1, 0, 2]
    sums = image_sums([100, 0, 50, 100], images, 4)
    assert sums.sums.tolist() == [150, 0, 100, 0]
    assert sums.counts.tolist() == [2, 1, 1, 0]


def test_drawing_pairs_is_drawing_images() -> None:
    """Mean and spread of the resampled figures are those of the plain loop over images."""
    pairs, multiplicity = _distinct(data())
    quick = np.divide(*_by_pair(pairs, multiplicity, 20_000, np.random.default_rng(1)))
    plain = np.divide(*_by_image(pairs, multiplicity, 20_000, np.random.default_rng(2)))
    assert quick.mean() == pytest.approx(plain.mean(), abs=0.15)
    assert quick.std() == pytest.approx(plain.std(), rel=0.03)
    assert np.quantile(quick, 0.025) == pytest.approx(np.quantile(plain, 0.025), abs=0.4)


def test_the_bootstrap_spread_is_the_standard_error() -> None:
    many = data(3, 2000)
    means = bootstrap_means(many, 4000, np.random.default_rng(0))
    assert means.std() == pytest.approx(standard_error(many), rel=0.05)


def test_standard_error_of_single_questions_is_the_textbooks() -> None:
    scores = np.array([0.0, 100, 100, 0, 100, 100])
    alone = image_sums(scores, np.arange(6))
    assert standard_error(alone) == pytest.approx(scores.std(ddof=1) / math.sqrt(6))


def test_repeating_every_question_on_its_image_does_not_shrink_the_error() -> None:
    once = data(1)
    thrice = ImageSums(3 * once.sums, 3 * once.counts)
    assert standard_error(thrice) == pytest.approx(standard_error(once))
    alike = mean_interval(thrice, resamples=500), mean_interval(once, resamples=500)
    assert alike[0].low == pytest.approx(alike[1].low)  # type: ignore[union-attr]


def test_acceleration_is_that_of_the_jackknife() -> None:
    sums, counts = data(2, 12)
    without = np.array(
        [np.delete(sums, at).sum() / np.delete(counts, at).sum() for at in range(12)]
    )
    gap = without.mean() - without
    expected = (gap**3).sum() / (6 * (gap**2).sum() ** 1.5)
    assert acceleration(ImageSums(sums, counts)) == pytest.approx(expected)


def test_interval_edges() -> None:
    assert mean_interval(image_sums([100.0], np.array([0]))) is None
    perfect = mean_interval(image_sums([100.0] * 20, np.arange(20)))
    assert perfect is not None
    assert (perfect.high, perfect.method) == (100, "clopper-pearson")
    assert perfect.low == pytest.approx(100 * 0.025 ** (1 / 20))
    hopeless = mean_interval(image_sums([0.0] * 20, np.arange(20)))
    assert hopeless is not None
    assert (hopeless.low, hopeless.high) == (0, pytest.approx(100 - perfect.low))
    assert mean_interval(data(), seed=1, resamples=300) == mean_interval(
        data(), seed=1, resamples=300
    )


def test_holm() -> None:
    adjusted = holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005})
    assert adjusted == pytest.approx({"a": 0.03, "b": 0.06, "c": 0.06, "d": 0.02})
    assert holm({"one": 0.2}) == {"one": 0.2}
    assert holm({"a": 0.7, "b": 0.9}) == {"a": 1.0, "b": 1.0}


def test_mcnemar() -> None:
    a = np.array([100.0] * 8 + [0] * 2 + [100] * 5)
    b = np.array([0.0] * 8 + [100] * 2 + [100] * 5)
    found = mcnemar(a, b)
    tail = sum(math.comb(10, k) for k in (0, 1, 2)) / 2**10
    assert (found.only_a, found.only_b) == (8, 2)
    assert found.p_value == pytest.approx(2 * tail)
    assert mcnemar(a, a).p_value == 1
    with pytest.raises(ValueError, match="right or wrong"):
        mcnemar(a, a - 50)


def test_a_run_against_itself() -> None:
    scores, images = np.array([0.0, 100, 100, 0]), np.array([0, 0, 1, 1])
    same = paired_test(scores, scores, images, resamples=200)
    assert (same.difference, same.low, same.high, same.p_value) == (
        0,
        -same.high,
        pytest.approx(100 * (1 - 0.025**0.5)),
        1,
    )


@pytest.mark.parametrize("gap", [100.0, 40.0, 0.0])
def test_a_difference_alike_on_every_image_is_as_doubtful_either_way(gap: float) -> None:
    """The images that were not drawn may differ otherwise, the further the fewer images there are."""
    a, b, images = np.full(20, gap), np.zeros(20), np.arange(20)
    forth, back = paired_test(a, b, images), paired_test(b, a, images)
    assert (forth.low, forth.high) == (-back.high, -back.low)
    others = 1 - 0.025 ** (1 / 20)
    assert forth.low == pytest.approx(gap - others * (gap + 100))
    assert forth.high == pytest.approx(gap + others * (100 - gap))


@pytest.mark.parametrize("level", [0.0, 30.0, 100.0])
@pytest.mark.parametrize("seeds", [1, 3])
def test_a_variant_alike_on_every_image_has_the_interval_of_a_mean(
    level: float, seeds: int
) -> None:
    images = np.arange(20)
    low, high = mean_over_seeds(np.full((seeds, 20), level), images)
    expected = mean_interval(image_sums(np.full(20, level), images))
    assert expected is not None
    assert (low, high) == (expected.low, expected.high)
    assert high - low == pytest.approx(100 * (1 - 0.025 ** (1 / 20)))


def test_a_variants_interval_is_over_its_seeds_too() -> None:
    rng = np.random.default_rng(1)
    images = np.arange(2000)
    runs = seeds(rng, 0)
    low, high = mean_over_seeds(runs, images, resamples=200)
    against_nothing = seeded_test(runs, np.zeros_like(runs), images, paired=True, resamples=200)
    assert (low, high) == pytest.approx((against_nothing.low, against_nothing.high))
    one_low, one_high = mean_over_seeds(runs[:1], images, resamples=200)
    assert high - low > one_high - one_low


@pytest.mark.parametrize(
    ("half_width", "digits"), [(20.0, 1), (0.1, 1), (0.0996, 2), (0.05, 2), (0.002, 3), (0.0, 1)]
)
def test_digits_show_the_half_width(half_width: float, digits: int) -> None:
    assert decimals(half_width) == digits


def test_a_side_of_one_seed_varies_as_the_other_one() -> None:
    """No true difference between three seeds and a single one, whose luck is most of the doubt."""
    rng = np.random.default_rng(14)
    images = np.arange(60)

    def runs(count: int) -> np.ndarray:
        return 50 + 5 * rng.standard_normal((count, 1)) + 5 * rng.standard_normal((count, 60))

    p_values = [
        seeded_test(*sides, images, paired=False, resamples=20).p_value
        for _ in range(200)
        for sides in ((runs(3), runs(1)), (runs(1), runs(3)))
    ]
    assert 1 <= 100 * np.mean(np.array(p_values) <= 0.05) <= 9


def test_swapping_the_runs_mirrors_the_test() -> None:
    a, b, images = World(images=60).draw(np.random.default_rng(4))
    forth = paired_test(a, b, images, resamples=4000)
    back = paired_test(b, a, images, resamples=4000)
    assert forth.difference == -back.difference
    assert forth.low == pytest.approx(-back.high, abs=0.4)
    assert forth.p_value == pytest.approx(back.p_value, abs=0.03)
    with pytest.raises(ValueError, match="do not pair"):
        paired_test(a[1:], b, images)


def test_a_detectable_difference_is_detected_four_times_in_five() -> None:
    assert detectable(1.0, 1e6) == pytest.approx(2.8016, abs=1e-3)
    rng = np.random.default_rng(11)
    world = World(images=150)
    found = 0
    for _ in range(400):
        a, b, images = world.draw(rng)
        error = standard_error(image_sums(a - b, images))
        shifted = image_sums(a - b + detectable(error, 149), images)
        found += sign_flip_p(shifted.sums, 299, rng) <= 0.05
    assert 72 <= found / 4 <= 88  # 80 expected, four standard errors


def seeds(rng: np.random.Generator, shift: float, count: int = 4) -> np.ndarray:
    """Runs of one recipe: each has its own luck of about two points."""
    level = 60 + shift + 2 * rng.standard_normal((count, 1))
    return np.where(100 * rng.random((count, 2000)) < level, 100.0, 0.0)


def test_seeds_carry_their_own_uncertainty() -> None:
    rng = np.random.default_rng(5)
    images = np.arange(2000)
    a, b = seeds(rng, 0), seeds(rng, 0)
    one = seeded_test(a[:1], b[:1], images, paired=False, resamples=500)
    several = seeded_test(a, b, images, paired=False, resamples=500)
    assert "sign flips" in one.method
    assert "images and seeds" in several.method
    over_images_only = paired_test(a.mean(0), b.mean(0), images, resamples=500)
    assert several.standard_error > 1.5 * over_images_only.standard_error
    with pytest.raises(ValueError, match="same number"):
        seeded_test(a, b[:2], images, paired=True)


def test_pairing_seeds_removes_what_they_share() -> None:
    rng = np.random.default_rng(6)
    images = np.arange(2000)
    a = seeds(rng, 0)
    better = np.where(rng.random(a.shape) < 0.05, 100.0, a)
    paired = seeded_test(a, better, images, paired=True, resamples=500)
    apart = seeded_test(a, better, images, paired=False, resamples=500)
    assert paired.difference == apart.difference
    assert paired.standard_error < apart.standard_error / 2
    assert paired.p_value < 0.01


def test_false_findings_with_seeds_stay_near_five_percent() -> None:
    rng = np.random.default_rng(8)
    images = np.arange(2000)
    found = [
        seeded_test(seeds(rng, 0), seeds(rng, 0), images, paired=False, resamples=100).p_value
        <= 0.05
        for _ in range(300)
    ]
    assert 1 <= 100 * np.mean(found) <= 9


@pytest.mark.parametrize("paired", [True, False])
@pytest.mark.parametrize("shared", [0.0, 30.0])
def test_the_noise_of_image_and_seed_is_counted_once(paired: bool, shared: float) -> None:
    """No true difference, few seeds, several questions an image: never much more than 5 % false findings, and
    intervals that are not twice too wide."""
    rng = np.random.default_rng(11)
    images = np.repeat(np.arange(100), 4)
    tests = []
    for _ in range(400):
        level = 50 + np.repeat(rng.normal(0, shared, 100), 4)
        a, b = (level + rng.normal(0, 40, (3, 400)) for _ in range(2))
        tests.append(seeded_test(a, b, images, paired=paired, resamples=50))
    assert np.mean([test.p_value <= 0.05 for test in tests]) < 0.075
    truth = np.std([test.difference for test in tests])
    assert np.mean([test.standard_error for test in tests]) < 1.5 * truth


def test_what_could_have_been_found_is_that_of_the_corrected_test() -> None:
    rng = np.random.default_rng(12)
    images = np.arange(400)
    a, b = rng.normal(50, 10, (2, 400))
    alone = paired_test(a, b, images, resamples=200)
    assert in_family(alone, 1).detectable == pytest.approx(alone.detectable)
    assert in_family(alone, 6).detectable == pytest.approx(1.242 * alone.detectable, rel=0.01)
    few = in_family(paired_test(a[:5], b[:5], images[:5], resamples=200), 1)
    assert "could not have found any" in power_text(few)
    same = paired_test(a, a, images, resamples=200)
    assert power_text(same) == "they score alike on every image"


@pytest.mark.parametrize("tests", [1, 12])
def test_of_few_seeds_what_could_have_been_found_is_found_four_times_in_five(tests: int) -> None:
    """Three paired seeds whose luck is most of the doubt: the difference that half of the tests promise to find."""
    rng = np.random.default_rng(13)
    images = np.arange(50)

    def tried(shift: float) -> PairedTest:
        gaps = shift + 2 * rng.standard_normal((3, 1)) + 2 * rng.standard_normal((3, 50))
        return seeded_test(gaps, np.zeros_like(gaps), images, paired=True, resamples=20)

    promised = float(np.median([in_family(tried(0), tests).detectable for _ in range(250)]))
    found = np.mean([tried(promised).p_value * tests <= 0.05 for _ in range(250)])
    assert 0.7 <= found <= 0.9


def test_seed_summary() -> None:
    assert seed_summary([1.0, 3.0]) == {"mean": 2.0, "sd": pytest.approx(math.sqrt(2)), "n": 2}
    assert seed_summary([1.0]) == {"mean": 1.0, "sd": None, "n": 1}


def test_simulated_truth() -> None:
    """2,000 comparisons without a difference, questions clustered, within three standard deviations of such counts;
    `scripts/simulate_significance` at full size."""
    found = simulate(World(images=150), comparisons=2000, resamples=399, seed=0)
    assert 3.5 <= found["reject"] <= 6.5
    assert found["reject_unclustered"] > 12
    assert 93.5 <= found["cover_difference"] <= 96.5
    assert 93.5 <= found["cover_mean"] <= 96.5


def test_a_little_more_luck_of_seeds_never_makes_an_interval_leap() -> None:
    """Three times the noise of images and seeds must not do what ten times as much does not."""
    rng = np.random.default_rng(0)
    images = np.repeat(np.arange(150), 6)
    noise = 40 * rng.standard_normal((2, 900))
    widths = []
    for apart in (0.0, 0.1, 0.2, 0.5, 1.0, 1.5):
        a = 15 + noise + np.array([[apart], [-apart]])
        test = seeded_test(a, np.zeros_like(a), images, paired=True, resamples=100)
        widths.append(test.high - test.low)
    assert all(wider > width - 0.01 for width, wider in itertools.pairwise(widths))
    assert widths[0] > 1
    assert widths[2] < 1.3 * widths[0]


def test_equal_seeds_leave_the_doubt_of_images() -> None:
    rng = np.random.default_rng(0)
    one = 15 + 40 * rng.standard_normal((1, 150))
    test = seeded_test(
        np.repeat(one, 2, 0), np.zeros((2, 150)), np.arange(150), paired=True, resamples=100
    )
    assert test.high - test.low > 10
    assert "inf" not in test.method


@pytest.mark.parametrize("seeds", [2, 5])
def test_seeds_that_differ_as_images_do_reject_as_often_as_they_should(seeds: int) -> None:
    assert 1 < simulate_seeds(seeds, ratio=1.0, comparisons=400) < 8


@pytest.mark.parametrize("seeds", [1, 2])
def test_an_interaction_has_twice_the_scale_of_a_difference(seeds: int) -> None:
    """It is the difference of two differences: its interval does not end below it."""
    rng = np.random.default_rng(0)
    gains = np.where(rng.random((seeds, 12)) < 0.8, 90.0, 40.0)
    images = np.arange(12)
    test = seeded_test(gains, -gains, images, paired=True, resamples=200, scale=200)
    assert 100 < test.difference < test.high <= 200
    same = np.full((seeds, 12), 75.0)
    sure = seeded_test(same, -same, images, paired=True, resamples=200, scale=200)
    assert (sure.low > 0, 150 < sure.high < 200) == (True, True)
    few = in_family(paired_test(gains[0, :3], -gains[0, :3], images[:3], scale=200), 5)
    assert few.detectable == 200
    assert "could not have found any difference" in power_text(few)


@pytest.mark.parametrize("size", [1.0, 6.0, 20.0, 60.0])
def test_the_noise_of_few_images_leaves_the_doubt_of_the_seeds(size: float) -> None:
    """Taken off whole, it would leave next to nothing without a degree of freedom: -100 to 100."""
    turns = np.where(np.arange(20) % 2, size, -size)
    gaps = np.stack([turns + 4, 2 - turns])
    test = seeded_test(gaps, 0 * gaps, np.arange(20), paired=True, resamples=100)
    over_seeds = stats.ttest_1samp(gaps.mean(1), 0)
    assert test.p_value == pytest.approx(over_seeds.pvalue, rel=0.001)
    assert test.high == pytest.approx(over_seeds.confidence_interval().high, rel=0.001)
