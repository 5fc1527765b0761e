"""MLflow through Lightning's own logger."""

from __future__ import annotations

import os

from pytorch_lightning.loggers import MLFlowLogger

from vqa.tracking.trackers import Tracked

RUN_ID = "run_id"
"""The file that remembers MLflow's own id of a run."""


def logger(run: Tracked) -> MLFlowLogger:
    """The MLflow run of an earlier life, or a new one in the experiment that is called like the project.

    Without a server the files are below the run: MLflow 3 writes files only where `MLFLOW_ALLOW_FILE_STORE` lets it,
    and its databases need more than `mlflow-skinny`.
    """
    os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
    known = run.folder / RUN_ID
    made = MLFlowLogger(
        experiment_name=run.project,
        run_name=run.name,
        tracking_uri=os.environ.get("MLFLOW_TRACKING_URI"),
        save_dir=str(run.folder / "store"),
        tags=_tags(run),
        run_id=known.read_text(encoding="utf-8").strip() if known.exists() else None,
    )
    known.write_text(f"{made.run_id}\n", encoding="utf-8")
    return made


def _tags(run: Tracked) -> dict[str, str]:
    """Group, the run's id, and every tag as a tag of its own."""
    tags = {"group": run.group or "", "vqa_run": run.run_id}
    for tag in run.tags:
        name, _, value = tag.partition("=")
        tags[name] = value
    return {name: value for name, value in tags.items() if name}
