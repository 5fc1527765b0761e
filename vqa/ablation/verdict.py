"""A study's answer in short: which variant is best, by how much, and whether that is real."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vqa.ablation.sentences import LEVEL

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Verdict:
    """What to say first.

    Attributes:
        best, mean, sd, seeds: the variant of the grid with the highest mean.
        other: what it was tested against: the reference, or the runner-up where it is the reference itself; "" where
            nothing was tested.
        difference, low, high, p: best less other; p is Holm's.
        detectable: what the test would have found.
        untested: the runner-up, where the test says nothing of it.
        level_with: variants of the grid of which no difference to the best was found, where all were tested with it.
    """

    best: str
    mean: float
    sd: float | None
    seeds: int
    other: str = ""
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    detectable: float | None = None
    untested: str = ""
    level_with: tuple[str, ...] = ()

    @property
    def real(self) -> bool:
        """Whether the test found a difference."""
        return self.p is not None and self.p < LEVEL

    @property
    def is_best(self) -> bool:
        """Whether the highest mean is more than luck: a test against the next one found a difference."""
        return self.real and not self.untested


def verdict(study: Mapping[str, Any]) -> Verdict | None:
    """The answer of a study as `Study.to_json` gives it; None where no variant has a score."""
    rows: Sequence[Row] = study["variants"]
    grid = [row for row in rows if row["baseline"] is None] or list(rows)
    if not grid:
        return None
    ranked = sorted(grid, key=lambda row: -row["mean"])
    best, second = ranked[0], ranked[1] if len(ranked) > 1 else None
    base = Verdict(best["name"], best["mean"], best["sd"], len(best["scores"]))
    tests = {test["a"]: test for test in study["comparisons"]}
    if best["name"] != study["reference"]:
        untested = second["name"] if second and second["name"] != study["reference"] else ""
        return _tested(base, tests.get(best["name"]), 1, study["reference"], untested)
    other = second["name"] if second else max(tests, default="", key=lambda name: _mean(rows, name))
    level = tuple(
        row["name"]
        for row in ranked[1:]
        if row["name"] in tests and tests[row["name"]]["adjusted_p_value"] >= LEVEL
    )
    return _tested(base, tests.get(other), -1, other, "", level)


def _mean(rows: Sequence[Row], name: str) -> float:
    return next(float(row["mean"]) for row in rows if row["name"] == name)


def _tested(
    base: Verdict,
    test: Mapping[str, Any] | None,
    sign: int,
    other: str,
    untested: str,
    level_with: tuple[str, ...] = (),
) -> Verdict:
    if test is None:
        return base
    low, high = sorted((sign * test["low"], sign * test["high"]))
    return Verdict(
        base.best,
        base.mean,
        base.sd,
        base.seeds,
        other,
        difference=sign * test["difference"],
        low=low,
        high=high,
        p=test["adjusted_p_value"],
        detectable=test["detectable"],
        untested=untested,
        level_with=level_with,
    )
