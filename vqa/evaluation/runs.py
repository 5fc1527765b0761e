"""A run as a comparison reads it: scored predictions, and what they were scored on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from vqa.errors import RunError
from vqa.evaluation.bootstrap import Floats
from vqa.evaluation.files import read_json
from vqa.evaluation.multiple_choice import OutOfVocabulary
from vqa.evaluation.predictions import Prediction, read_predictions, scores_digest
from vqa.evaluation.protocols import protocol_for, score_predictions

FIELDS = ("data_fingerprint", "split", "protocol", "out_of_vocabulary")
"""What must be the same in all runs of a comparison; the last is multiple choice's policy."""


@dataclass(frozen=True)
class Run:
    """One model's scored predictions.

    Attributes:
        name: the path as given.
        predictions: sorted by question id, every one with a score.
        identity: every one of `FIELDS`; None for what is not known.
        seed: of the training; None where it is not known.
        computed: whether it is no model's but what guessing gets.
    """

    name: str
    predictions: list[Prediction]
    identity: Mapping[str, str | None]
    seed: int | None = None
    computed: bool = False

    @cached_property
    def scores(self) -> Floats:
        """float64 [questions]."""
        return np.array([item.score for item in self.predictions], dtype=np.float64)


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
    scored, used = _scored(predictions, protocol, known)
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
    names = ("data_fingerprint", "protocol", "scores_sha256")
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
    found = {file.stem: file for file in sorted((path / "predictions").glob("*.jsonl"))}
    if not split and len(found) == 1:
        return next(iter(found.values()))
    if split in found:
        return found[split]
    splits = ", ".join(found)
    if found and not split:
        raise RunError(
            f"predictions of several splits: {splits}", where=str(path), fix="name one with --split"
        )
    wanted = f" of split {split!r}, only of {splits}" if found else ""
    option = f" --split {split}" if split else ""
    raise RunError(
        f"no predictions{wanted}", where=str(path), fix=f"vqa evaluate {path}{option} makes them"
    )


def _scored(
    predictions: list[Prediction], protocol: str, known: Mapping[str, Any]
) -> tuple[list[Prediction], str | None]:
    """Stored scores are believed where their run says by which protocol they were made, and none is asked for.

    Not where the run's evaluation is of other scores: it was ended before, or something else wrote predictions since.
    """
    said = known.get("protocol")
    if protocol or not isinstance(said, str):
        name = protocol or protocol_for(predictions)
        return score_predictions(predictions, name, resamples=0).predictions, name
    digest = scores_digest(predictions)
    if digest is not None and known.get("scores_sha256") in (None, digest):
        return predictions, said
    told = str(known.get("out_of_vocabulary"))
    policy: OutOfVocabulary = "count-wrong" if told.startswith("count-wrong") else "mask"
    result = score_predictions(predictions, said, out_of_vocabulary=policy, resamples=0)
    return result.predictions, said
