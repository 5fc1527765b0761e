"""Comparing runs: check that they can be compared, test every pair, say it in a sentence."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np

from vqa.errors import ResultError
from vqa.evaluation.bootstrap import RESAMPLES, Floats, codes
from vqa.evaluation.coverage import first_few
from vqa.evaluation.predictions import Prediction
from vqa.evaluation.result import UNSPECIFIED, grouped
from vqa.evaluation.runs import FIELDS, Run
from vqa.evaluation.significance import (
    McNemar,
    PairedTest,
    holm,
    in_family,
    mcnemar,
    power_text,
    seed_summary,
    seeded_test,
    signed_text,
    size_text,
)


@dataclass(frozen=True)
class Variant:
    """Runs that differ in their seed only; with one run, that run."""

    name: str
    runs: list[Run]

    @property
    def scores(self) -> Floats:
        """float64 [seeds, questions]."""
        return np.stack([run.scores for run in self.runs])

    @property
    def computed(self) -> bool:
        """Whether it was computed and not trained, so that no seed changes it."""
        return all(run.computed for run in self.runs)


@dataclass(frozen=True)
class Pair:
    """The test of one variant against another; `adjusted_p` is Holm's over all pairs of the
    comparison, `runs` how many there are of `a` and of `b`."""

    a: str
    b: str
    test: PairedTest
    adjusted_p: float
    mcnemar: McNemar | None
    paired_seeds: bool
    runs: tuple[int, int]
    only_a: list[str] = field(default_factory=list)
    only_b: list[str] = field(default_factory=list)

    @property
    def sentence(self) -> str:
        """The outcome in words."""
        test, doubt = self.test, p_text(self.adjusted_p)
        found = test.difference, test.low, test.high
        if self.adjusted_p >= 0.05:
            told = f"{signed_text(*found)}, {doubt}"
            return f"no difference found between {self.a} and {self.b} ({told}); {power_text(test)}"
        winner, loser = (self.a, self.b) if test.difference > 0 else (self.b, self.a)
        return f"{winner} beats {loser} by {size_text(*found)}, {doubt}"

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready object."""
        return {
            "a": self.a,
            "b": self.b,
            **asdict(self.test),
            "adjusted_p_value": self.adjusted_p,
            "mcnemar": self.mcnemar._asdict() | {"caveat": MCNEMAR_CAVEAT}
            if self.mcnemar
            else None,
            "paired_seeds": self.paired_seeds,
            "runs": list(self.runs),
            "only_a_right": self.only_a,
            "only_b_right": self.only_b,
            "sentence": self.sentence,
        }


SAME = MappingProxyType(
    {
        "data_fingerprint": "name runs of one store alone, or `vqa evaluate RUN --store STORE` with each",
        "split": "--split NAME takes the predictions of one split",
        "protocol": "--protocol NAME scores all anew under one",
        "out_of_vocabulary": "--protocol NAME scores all anew under one policy",
    }
)
"""How runs come to be alike in each of `FIELDS`."""

EACH_ALONE = "each interval is of its test alone, not corrected"
"""What is to be said wherever p is corrected."""

RIGHT = "right means a score of 50 and more in the lists of questions"
"""What is to be said beside these lists."""

MCNEMAR_CAVEAT = (
    "takes questions as independent; where images have several, the p of the difference holds"
)


@dataclass(frozen=True)
class Comparison:
    """Two variants or more on the same questions."""

    identity: Mapping[str, str | None]
    variants: list[Variant]
    pairs: list[Pair]
    notes: list[str]

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready object."""
        return {
            **self.identity,
            "n": len(self.variants[0].runs[0].predictions),
            "variants": [variant_figures(variant) for variant in self.variants],
            "comparisons": [pair.to_json() for pair in self.pairs],
            "correction": "Holm",
            "notes": self.notes,
        }


def compare_runs(
    variants: Sequence[Variant],
    *,
    baseline: str | None = None,
    resamples: int = RESAMPLES,
) -> Comparison:
    """Test every variant against those before it on their common questions, or every other one against `baseline`:
    what comes first is what a difference is measured from.

    Raises:
        ResultError: fewer than two variants, or runs that cannot be compared; names the field that
            differs.
    """
    if len(variants) < 2:
        raise ResultError("a comparison needs two runs or more")
    runs = [run for variant in variants for run in variant.runs]
    identity = check_comparable(runs)
    images = codes(item.image_id for item in runs[0].predictions)
    tests: dict[str, tuple[Variant, Variant, PairedTest]] = {}
    for a, b in _to_test(variants, baseline):
        left, right, paired = _sides(a, b)
        try:
            test = seeded_test(left, right, images, paired=paired, resamples=resamples)
        except ValueError as error:
            raise ResultError(str(error)) from error
        tests[f"{a.name}\0{b.name}"] = (a, b, test)
    adjusted = holm({key: test.p_value for key, (_, _, test) in tests.items()})
    pairs = [
        _pair(a, b, in_family(test, len(tests)), adjusted[key])
        for key, (a, b, test) in tests.items()
    ]
    return Comparison(identity, list(variants), pairs, _notes(runs))


def _to_test(
    variants: Sequence[Variant], baseline: str | None
) -> Iterable[tuple[Variant, Variant]]:
    if baseline is None:
        return ((later, earlier) for earlier, later in itertools.combinations(variants, 2))
    reference = next(variant for variant in variants if variant.name == baseline)
    return [(variant, reference) for variant in variants if variant is not reference]


def check_comparable(runs: Sequence[Run]) -> dict[str, str | None]:
    """The common identity of the runs.

    Raises:
        ResultError: one of `FIELDS`, the questions, their images, answers or choices differ; names
            the first that does.
    """
    first = runs[0]
    identity: dict[str, str | None] = {}
    for name in FIELDS:
        known = [(run.name, run.identity.get(name)) for run in runs if run.identity.get(name)]
        other = next((pair for pair in known if pair[1] != known[0][1]), None)
        if other:
            raise ResultError(
                f"{name} differs: {known[0][1]!r} in {known[0][0]}, {other[1]!r} in {other[0]}",
                fix=SAME[name],
            )
        identity[name] = known[0][1] if known else None
    for run in runs[1:]:
        _check_questions(first, run)
    return identity


def variant_figures(variant: Variant) -> dict[str, Any]:
    """Overall and per-type figures of a variant: means over its seeds, with deviations."""
    means = variant.scores.mean(axis=0)
    rows = variant.runs[0].predictions
    return {
        "name": variant.name,
        "runs": [run.name for run in variant.runs],
        "overall": seed_summary([float(run.scores.mean()) for run in variant.runs]),
        "per_answer_type": _by_group(means, [item.answer_type for item in rows]),
        "per_question_type": _by_group(means, [item.question_type for item in rows]),
    }


def seeds_pair(a: Variant, b: Variant) -> bool:
    """Whether the runs of both variants have the same seeds, each once, so that they pair."""
    left, right = ([run.seed for run in variant.runs] for variant in (a, b))
    known = None not in left and None not in right
    return (
        known and len(set(left)) == len(left) and sorted(map(str, left)) == sorted(map(str, right))
    )


def p_text(p_value: float) -> str:
    """p for a sentence."""
    return "p < 0.001" if p_value < 0.001 else f"p = {p_value:.3f}"


def _pair(a: Variant, b: Variant, test: PairedTest, adjusted: float) -> Pair:
    left, right = a.scores.mean(0), b.scores.mean(0)
    ids = [item.question_id for item in a.runs[0].predictions]
    exact = (
        len(a.runs) == len(b.runs) == 1 and np.isin(np.concatenate([left, right]), (0, 100)).all()
    )
    return Pair(
        a.name,
        b.name,
        test,
        adjusted,
        mcnemar(left, right) if exact else None,
        seeds_pair(a, b),
        (len(a.runs), len(b.runs)),
        only_a=[ids[at] for at in np.flatnonzero((left >= 50) & (right < 50))],
        only_b=[ids[at] for at in np.flatnonzero((right >= 50) & (left < 50))],
    )


def _sides(a: Variant, b: Variant) -> tuple[Floats, Floats, bool]:
    """Scores [seeds, questions] of both, and whether they pair row by row: where the seeds are the same, or one side
    was computed and is what it is for every seed of the other."""
    if seeds_pair(a, b):
        return *_aligned(a, b), True
    if not (a.computed or b.computed):
        return a.scores, b.scores, False
    seeds = max(len(a.runs), len(b.runs))
    left, right = (
        np.repeat(one.scores, seeds, axis=0) if one.computed else one.scores for one in (a, b)
    )
    return left, right, True


def _aligned(a: Variant, b: Variant) -> tuple[Floats, Floats]:
    """Scores with the seeds of both variants in the same order."""
    left, right = (sorted(variant.runs, key=lambda run: str(run.seed)) for variant in (a, b))
    return np.stack([run.scores for run in left]), np.stack([run.scores for run in right])


def _notes(runs: Sequence[Run]) -> list[str]:
    notes = []
    for name in ("data_fingerprint", "split", "protocol"):
        unknown = [run.name for run in runs if not run.identity.get(name)]
        if unknown:
            notes.append(f"the {name} of {', '.join(unknown)} is not known and was not compared")
    return [*notes, RIGHT]


def _check_questions(first: Run, other: Run) -> None:
    mine, theirs = ([item.question_id for item in run.predictions] for run in (first, other))
    if mine != theirs:
        apart = sorted(set(mine) ^ set(theirs))
        raise ResultError(
            f"questions differ between {first.name} and {other.name}: {len(apart)} are in one only "
            f"({first_few(apart)})"
        )
    for a, b in zip(first.predictions, other.predictions, strict=True):
        for name in ("image_id", "answers"):
            if getattr(a, name) != getattr(b, name):
                raise ResultError(
                    f"{name} differs between {first.name} and {other.name}",
                    where=f"question {a.question_id}",
                )
        if a.choices and b.choices and _choices(a) != _choices(b):
            raise ResultError(
                f"choices differ between {first.name} and {other.name}",
                where=f"question {a.question_id}",
            )


def _choices(item: Prediction) -> tuple[list[str], str | None]:
    """The choices in an order of no meaning, and the right one."""
    return sorted(item.choices), item.choices[item.label] if item.label >= 0 else None


def _by_group(means: Floats, names: list[str]) -> dict[str, float]:
    return {name or UNSPECIFIED: float(means[rows].mean()) for name, rows in grouped(names).items()}
