"""Comparing runs: read them, check that they can be compared, test every pair, say it in a
sentence."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from vqa.errors import ResultError, RunError
from vqa.evaluation.bootstrap import RESAMPLES, Floats, codes
from vqa.evaluation.coverage import shortened
from vqa.evaluation.files import read_json
from vqa.evaluation.predictions import Prediction, read_predictions
from vqa.evaluation.protocols import protocol_for, score_predictions
from vqa.evaluation.result import UNSPECIFIED, grouped
from vqa.evaluation.significance import (
    McNemar,
    PairedTest,
    holm,
    in_family,
    mcnemar,
    power_text,
    seed_summary,
    seeded_test,
)

FIELDS = ("data_fingerprint", "split", "protocol", "out_of_vocabulary")
"""What must be the same in all runs of a comparison; the last is multiple choice's policy."""


@dataclass(frozen=True)
class Run:
    """One trained model's scored predictions.

    Attributes:
        name: the path as given.
        predictions: sorted by question id, every one with a score.
        identity: every one of `FIELDS`; None for what is not known.
        seed: of the training; None where it is not known.
    """

    name: str
    predictions: list[Prediction]
    identity: Mapping[str, str | None]
    seed: int | None = None

    @property
    def scores(self) -> Floats:
        """float64 [questions]."""
        return np.array([item.score for item in self.predictions], dtype=np.float64)


@dataclass(frozen=True)
class Variant:
    """Runs that differ in their seed only; with one run, that run."""

    name: str
    runs: list[Run]

    @property
    def scores(self) -> Floats:
        """float64 [seeds, questions]."""
        return np.stack([run.scores for run in self.runs])


@dataclass(frozen=True)
class Pair:
    """The test of one variant against another; `adjusted_p` is Holm's over all pairs of the
    comparison."""

    a: str
    b: str
    test: PairedTest
    adjusted_p: float
    mcnemar: McNemar | None
    paired_seeds: bool
    only_a: list[str] = field(default_factory=list)
    only_b: list[str] = field(default_factory=list)

    @property
    def sentence(self) -> str:
        """The outcome in words."""
        gap, low, high = self.test.difference, self.test.low, self.test.high
        if self.adjusted_p >= 0.05:
            return (
                f"no difference found between {self.a} and {self.b} ({gap:+.1f} [{low:.1f}, {high:.1f}], "
                f"{p_text(self.adjusted_p)}); {power_text(self.test)}"
            )
        winner, loser = (self.a, self.b) if gap > 0 else (self.b, self.a)
        low, high = (low, high) if gap > 0 else (-high, -low)
        return f"{winner} beats {loser} by {abs(gap):.1f} [{low:.1f}, {high:.1f}], {p_text(self.adjusted_p)}"

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
            "only_a_right": self.only_a,
            "only_b_right": self.only_b,
            "sentence": self.sentence,
        }


MCNEMAR_CAVEAT = "takes questions as independent; where images have several, read p_value instead"


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


def load_run(path: Path, *, split: str = "", protocol: str = "") -> Run:
    """Read a run directory (`result.json`, `predictions/<split>.jsonl`) or a predictions file
    alone.

    Args:
        path: directory or file.
        split: which predictions file of a directory; needed where `result.json` names none and
            there are several.
        protocol: score anew under this one; else the scores in the file, or `protocol_for` where
            there are none.

    Raises:
        RunError: nothing to read, or the run did not succeed.
        ResultError: a malformed file.
    """
    known = _result_fields(path) if path.is_dir() else {}
    file = _predictions_file(path, split or str(known.get("split") or ""))
    known |= _evaluation_fields(path, file.stem) if path.is_dir() else {}
    predictions = read_predictions(file)
    if not predictions:
        raise RunError("holds no prediction", where=str(file))
    scored, used = _scored(predictions, protocol, known.get("protocol"))
    splits = {item.split for item in predictions}
    identity = {
        "data_fingerprint": known.get("data_fingerprint"),
        "split": splits.pop() if len(splits) == 1 else None,
        "protocol": used,
        "out_of_vocabulary": None if protocol else known.get("out_of_vocabulary"),
    }
    seed = known.get("seed")
    scored = sorted(scored, key=lambda item: item.question_id)
    return Run(str(path), scored, identity, seed if isinstance(seed, int) else None)


def compare_runs(
    variants: Sequence[Variant],
    *,
    baseline: str | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Comparison:
    """Test every pair of variants on their common questions, or every other one against `baseline`.

    Raises:
        ResultError: fewer than two variants, or runs that cannot be compared; names the field that
            differs.
    """
    if len(variants) < 2:
        raise ResultError("a comparison needs two runs or more")
    runs = [run for variant in variants for run in variant.runs]
    identity = check_comparable(runs)
    images = codes(item.image_id for item in runs[0].predictions)
    tests: dict[str, tuple[Variant, Variant, PairedTest, bool]] = {}
    for a, b in _to_test(variants, baseline):
        paired = seeds_pair(a, b)
        left, right = _aligned(a, b) if paired else (a.scores, b.scores)
        try:
            test = seeded_test(left, right, images, paired=paired, resamples=resamples, seed=seed)
        except ValueError as error:
            raise ResultError(str(error)) from error
        tests[f"{a.name}\0{b.name}"] = (a, b, test, paired)
    adjusted = holm({key: test.p_value for key, (_, _, test, _) in tests.items()})
    pairs = [
        _pair(a, b, in_family(test, len(tests)), paired, adjusted[key])
        for key, (a, b, test, paired) in tests.items()
    ]
    return Comparison(identity, list(variants), pairs, _notes(runs))


def _to_test(
    variants: Sequence[Variant], baseline: str | None
) -> Iterable[tuple[Variant, Variant]]:
    if baseline is None:
        return itertools.combinations(variants, 2)
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
                fix="compare runs on the same data, split and protocol",
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


def _pair(a: Variant, b: Variant, test: PairedTest, paired: bool, adjusted: float) -> Pair:
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
        paired,
        only_a=[ids[at] for at in np.flatnonzero((left >= 50) & (right < 50))],
        only_b=[ids[at] for at in np.flatnonzero((right >= 50) & (left < 50))],
    )


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
    notes.append("right means a score of 50 and more in the lists of questions")
    return notes


def _check_questions(first: Run, other: Run) -> None:
    mine, theirs = ([item.question_id for item in run.predictions] for run in (first, other))
    if mine != theirs:
        apart = sorted(set(mine) ^ set(theirs))
        raise ResultError(
            f"questions differ between {first.name} and {other.name}: {len(apart)} are in one only "
            f"({shortened(apart)})"
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


def _result_fields(path: Path) -> dict[str, Any]:
    file = path / "result.json"
    if not file.exists():
        raise RunError("no result.json: the run has not ended", where=str(path))
    result = read_json(file)
    if not isinstance(result, dict):
        raise RunError("is no object", where=str(file))
    if result.get("status", "succeeded") != "succeeded":
        raise RunError(f"the run {result['status']}", where=str(path), fix="resume it first")
    metrics = result.get("metrics")
    inner = metrics if isinstance(metrics, dict) else {}
    names = ("data_fingerprint", "split", "protocol", "seed")
    known = {name: result.get(name, inner.get(name)) for name in names}
    return known | _policy(result) | _seed(path, result)


def _evaluation_fields(path: Path, stem: str) -> dict[str, Any]:
    """What the last `vqa evaluate` of this split says about the predictions that it wrote anew."""
    file = path / "evaluations" / f"{stem}.json"
    found = read_json(file) if file.exists() else {}
    if not isinstance(found, dict):
        raise RunError("is no object", where=str(file))
    names = ("data_fingerprint", "protocol")
    known = {name: found[name] for name in names if name in found}
    return known | _policy(found) if known else {}


def _policy(result: Mapping[str, Any]) -> dict[str, Any]:
    """Multiple choice's policy, which decides scores as the protocol does."""
    policies = result.get("policies")
    known = policies.get("out_of_vocabulary") if isinstance(policies, dict) else None
    return {"out_of_vocabulary": known if isinstance(known, str) else None}


def _seed(path: Path, result: Mapping[str, Any]) -> dict[str, Any]:
    """The seed from `result.json`, or from the experiment beside it."""
    if isinstance(result.get("seed"), int):
        return {"seed": result["seed"]}
    file = path / "experiment.yaml"
    if not file.exists():
        return {}
    import yaml

    try:
        experiment = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    return {"seed": experiment.get("seed")} if isinstance(experiment, dict) else {}


def _predictions_file(path: Path, split: str) -> Path:
    if not path.is_dir():
        return path
    found = sorted((path / "predictions").glob("*.jsonl"))
    if split:
        found = [file for file in found if file.stem == split]
    if len(found) != 1:
        state = "several predictions files" if found else "no predictions"
        raise RunError(f"{state} under predictions/", where=str(path), fix="name one with --split")
    return found[0]


def _scored(
    predictions: list[Prediction], protocol: str, known: Any
) -> tuple[list[Prediction], str | None]:
    """Stored scores are believed where their run says by which protocol they were made, and none is asked for."""
    complete = all(item.score is not None for item in predictions)
    if complete and not protocol and isinstance(known, str):
        return predictions, known
    name = protocol or (known if isinstance(known, str) else protocol_for(predictions))
    return score_predictions(predictions, name, resamples=0).predictions, name


def dumps(comparison: Comparison) -> str:
    """The comparison as one JSON text."""
    return json.dumps(comparison.to_json())
