"""A study's answer in short: which variant is best, by how much, and whether that is real."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vqa.ablation.sentences import LEVEL
from vqa.evaluation.significance import decimals

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Verdict:
    """What to say first.

    Attributes:
        best, mean, sd, seeds: the variant of the grid with the highest mean.
        other: what it was tested against: the reference, or where it is the reference itself the highest of
            `level_with`, else the runner-up; "" where nothing was tested.
        difference, low, high, p: best less other; p is Holm's.
        power: what a test that found nothing would have found, in words.
        lone: whether the test is of one run against another.
        untested: variants of the grid that were not tested against the best, the highest first.
        level_with: those of which no difference to the best was found.
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
    power: str = ""
    lone: bool = False
    untested: tuple[str, ...] = ()
    level_with: tuple[str, ...] = ()

    @property
    def real(self) -> bool:
        """Whether the test found a difference."""
        return self.p is not None and self.p < LEVEL

    @property
    def is_best(self) -> bool:
        """Whether the highest mean is more than luck: tests against all others found a difference."""
        return self.real and not self.untested and not self.level_with

    @property
    def digits(self) -> int:
        """Behind the point of the difference and its bounds."""
        return 1 if self.low is None or self.high is None else decimals((self.high - self.low) / 2)


def verdict(study: Mapping[str, Any]) -> Verdict | None:
    """The answer of a study as `Study.to_json` or `standing` gives it; None where no variant has a score, or where
    scores are of unlike questions or protocols."""
    rows: Sequence[Row] = study["variants"]
    grid = [row for row in rows if row["baseline"] is None] or list(rows)
    if not grid or study.get("apart"):
        return None
    ranked = sorted(grid, key=lambda row: -row["mean"])
    best, reference = ranked[0], study["reference"]
    base = Verdict(best["name"], best["mean"], best["sd"], len(best["scores"]))
    tests = {test["a"]: test for test in study["comparisons"]}
    if best["name"] != reference:
        untested = tuple(row["name"] for row in ranked[1:] if row["name"] != reference)
        return _tested(base, tests.get(best["name"]), 1, reference, untested)
    beside = ranked[1:] or sorted(rows, key=lambda row: -row["mean"])
    others = [row["name"] for row in beside if row["name"] in tests]
    level = tuple(name for name in others if tests[name]["adjusted_p_value"] >= LEVEL)
    other = next(iter([*level, *others]), "")
    return _tested(base, tests.get(other), -1, other, (), level)


def _tested(
    base: Verdict,
    test: Mapping[str, Any] | None,
    sign: int,
    other: str,
    untested: tuple[str, ...],
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
        power=test["power"],
        lone=max(test["runs"]) == 1,
        untested=untested,
        level_with=level_with,
    )
