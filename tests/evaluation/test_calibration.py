"""Calibration: hand-made curves, a model that means what it says, and the gap to the prior."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vqa.errors import ResultError
from vqa.evaluation.calibration import (
    accuracy_at_coverage,
    calibration,
    prior_gap,
    prior_gap_interval,
    reliability,
)
from vqa.evaluation.predictions import Prediction


def item(number: int, confidence: float | None, score: float | None, **fields) -> Prediction:
    return Prediction(str(number), "i", confidence=confidence, score=score, **fields)


def test_by_hand() -> None:
    found = calibration(
        [item(0, 0.9, 100), item(1, 0.9, 0), item(2, 0.2, 0), item(3, None, 100)], bins=10
    )
    assert found is not None
    assert found["ece"] == pytest.approx((2 * 40 + 20) / 3, abs=1e-3)
    assert [(one["n"], one["score"]) for one in found["reliability"]] == [(1, 0), (2, 50)]
    assert found["mean_score"] == pytest.approx(33.3333)
    assert found["without_confidence"] == 1
    assert found["coverage"][-1] == {"coverage": 100, "score": pytest.approx(33.3333)}


def test_a_model_that_means_what_it_says() -> None:
    rng = np.random.default_rng(0)
    confidence = rng.random(20_000)
    right = 100.0 * (rng.random(20_000) < confidence)
    found = calibration(
        [
            item(at, float(c), float(s))
            for at, (c, s) in enumerate(zip(confidence, right, strict=True))
        ]
    )
    assert found is not None
    assert found["ece"] < 2
    scores = [one["score"] for one in found["coverage"]]
    assert scores == sorted(scores, reverse=True)
    boastful = calibration([item(at, 1.0, float(s)) for at, s in enumerate(right)])
    assert boastful is not None
    assert boastful["ece"] == pytest.approx(50, abs=2)


def test_no_confidence_and_no_score() -> None:
    assert calibration([item(0, None, 100)]) is None
    with pytest.raises(ResultError, match="question 0"):
        calibration([item(0, 0.5, None)])


pairs = st.lists(
    st.tuples(st.floats(0, 1), st.sampled_from([0.0, 30.0, 100.0])), min_size=1, max_size=30
)


@given(pairs, st.randoms())
def test_nothing_is_lost_and_order_decides_nothing(found: list, random) -> None:
    confidence, scores = (np.array(column, dtype=float) for column in zip(*found, strict=True))
    curve = reliability(confidence, scores)
    assert sum(one.n for one in curve) == len(found)
    assert all(one.low * 100 - 1e-6 <= one.confidence <= one.high * 100 + 1e-6 for one in curve)
    order = random.sample(range(len(found)), len(found))
    mine = accuracy_at_coverage(confidence, scores)
    assert mine == accuracy_at_coverage(confidence[order], scores[order])
    assert mine[-1]["score"] == pytest.approx(scores.mean(), abs=1e-3)


def test_equally_confident_questions_enter_in_part() -> None:
    found = accuracy_at_coverage(np.full(20, 0.5), np.repeat([100.0, 0.0], 10))
    assert {one["score"] for one in found} == {50}


def test_a_parrot_has_a_gap_and_a_seer_none() -> None:
    truths = ["yes"] * 70 + ["no"] * 30
    parrot = [item(at, None, 100.0 * (t == "yes"), answers=[t]) for at, t in enumerate(truths)]
    assert prior_gap(parrot) == {"common": 100, "rare": 0, "gap": 100, "n_common": 70, "n_rare": 30}
    seer = [
        item(at, None, 80.0, choices=["no", "yes"], label=int(t == "yes"))
        for at, t in enumerate(truths)
    ]
    assert prior_gap(seer)["gap"] == 0  # type: ignore[index]
    assert prior_gap(parrot[:5]) is None
    assert prior_gap([item(0, None, 1.0)]) is None


def test_the_interval_of_the_gap_covers_the_truth() -> None:
    """Simulated, with a shared luck of each image: 95 of 100 intervals hold the true gap of 20."""
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(200):
        rows = []
        for image in range(60):
            luck = rng.normal(0, 10)
            for _ in range(4):
                usual = bool(rng.random() < 0.7)
                score = float(np.clip(50 + 20 * usual + luck + rng.normal(0, 5), 0, 100))
                rows.append(
                    Prediction(
                        str(len(rows)),
                        str(image),
                        choices=["no", "yes"],
                        label=int(usual),
                        score=score,
                    )
                )
        span = prior_gap_interval(rows)
        assert span is not None
        held += span["low"] <= 20 <= span["high"]
    assert 180 <= held <= 199
    assert prior_gap_interval(rows[:4]) is None
