"""What W&B is shown of a run beside its curves: summary, tables, artifacts; all of it made from the run directory.

summary      `result/overall`, `result/interval/low|high|images`, `result/n`, `result/per_question_type/<type>`,
             `result/intervals/per_question_type/<type>/low|high|images`, …: `result.json` with slashes
predictions  a table with the columns `predictions.COLUMNS`; the same questions in every run on the same split, so
             that W&B joins the tables of several runs by `question_id`
samples      a table with pictures and attention (`vqa.tracking.samples`), half of them right
artifacts    used: `store-<fingerprint>` of type `dataset`, the store's manifest alone, no example of it;
             logged: `model-<run id>` of type `model`, the exported model, which has the best weights
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from vqa.tracking.predictions import COLUMNS, joined_rows

SUMMARY_PREFIX = "result"
UNSUMMARISED = ("policies", "notes", "details", "error")
SHOWN_DIGITS = 12
"""Of a fingerprint, in names."""

Figures = Mapping[str, Any]


class NothingToShow(Exception):
    """A part of a run that cannot be shown, and why."""


def summary_figures(fields: Figures, prefix: str = SUMMARY_PREFIX) -> Iterator[tuple[str, Any]]:
    """The figures of `result.json` under names with slashes, as in the journal: `result/interval/low`."""
    for name, value in fields.items():
        if name in UNSUMMARISED:
            continue
        if isinstance(value, Mapping):
            yield from summary_figures(value, f"{prefix}/{name}")
        elif isinstance(value, str | int | float):
            yield f"{prefix}/{name}", value


def sample_table(folder: Path) -> Any:
    """The W&B table of the sample predictions in `folder` (see `vqa.tracking.samples`)."""
    import wandb

    table = json.loads((folder / "table.json").read_text(encoding="utf-8"))
    rows = [
        [
            wandb.Image(str(folder / cell["image"])) if isinstance(cell, dict) else cell
            for cell in row
        ]
        for row in table["rows"]
    ]
    return wandb.Table(columns=table["columns"], data=rows, allow_mixed_types=True)


def prediction_table(run_dir: Path, split: str, count: int) -> Any | None:
    """The W&B table that runs are joined by; None where none is wanted or the run has no predictions."""
    from vqa.evaluation.predictions import predictions_file, read_predictions

    file = predictions_file(run_dir, split)
    if not count or not file.exists():
        return None
    import wandb

    rows = joined_rows(read_predictions(file), count)
    return wandb.Table(columns=list(COLUMNS), data=rows, allow_mixed_types=True)


def use_store(run: Any, store: Path, fingerprint: str | None) -> None:
    """Say which data the run learns from: an artifact with the store's manifest.

    Args:
        run: of W&B.
        store: its directory.
        fingerprint: of the data that the run has learnt from, where that is known.

    Raises:
        NothingToShow: the store is not there, or is another one by now.
    """
    import wandb

    try:
        text = (store / "store.json").read_text(encoding="utf-8")
        manifest = dict(json.loads(text))
        found = str(manifest["fingerprint"])
    except (OSError, ValueError, KeyError, TypeError):
        raise NothingToShow("the store is not where the experiment says") from None
    if fingerprint not in (None, found):
        raise NothingToShow("the store has changed since the run")
    artifact = wandb.Artifact(
        f"store-{found[:SHOWN_DIGITS]}",
        type="dataset",
        description="What a prepared store holds; the examples themselves are not uploaded.",
        metadata=manifest,
    )
    with artifact.new_file("store.json") as file:
        file.write(text)
    _use(run, artifact)


def log_model(run: Any, run_dir: Path, run_id: str, result: Figures) -> None:
    """Upload the exported model of a run that has one; W&B reads it where it lies, without a copy."""
    import wandb

    folder = run_dir / "model"
    if not (folder / "model.json").exists():
        return
    artifact = wandb.Artifact(
        f"model-{run_id}",
        type="model",
        description="The exported model with the best weights: `vqa ask`, `vqa.load`.",
        metadata=_model_facts(run_dir, result),
    )
    artifact.add_dir(str(folder), policy="immutable", skip_cache=True)
    run.log_artifact(artifact, aliases=["best"])


def _model_facts(run_dir: Path, result: Figures) -> dict[str, Any]:
    names = (
        "protocol",
        "split",
        "overall",
        "n",
        "data_fingerprint",
        "config_hash",
        "git_commit",
        "precision",
    )
    training = result.get("training") or {}
    facts = {name: result.get(name) for name in names}
    for name in ("best_step", "best_validation_accuracy"):
        facts[name] = training.get(name)
    try:
        manifest = (run_dir / "checkpoints" / "best.json").read_text(encoding="utf-8")
        facts["checkpoint_sha256"] = json.loads(manifest)["sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        pass  # no validation chose a best one, or it was thinned out
    return {name: value for name, value in facts.items() if value is not None}


def _use(run: Any, artifact: Any) -> None:
    """W&B's `use_artifact`, which refuses offline and else waits: this is what it does with a new artifact."""
    log = getattr(run, "_log_artifact", None)
    if log is None:
        run.use_artifact(artifact)
    else:
        log(artifact, is_user_created=True, use_after_commit=True)
