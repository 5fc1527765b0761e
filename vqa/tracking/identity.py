"""What dashboards are told of a run before its first record: its place, its name in each of its lives, its config."""

from __future__ import annotations

import secrets
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vqa.outputs import exchanged
from vqa.tracking.tags import place_of

if TYPE_CHECKING:
    from vqa.config import Experiment

JOB_TYPE = "train"
"""Of a run of no ablation."""


def identity(experiment: Experiment, run_dir: Path) -> dict[str, Any]:
    """What every dashboard is told of a run before its first record.

    A run of an ablation is a job of the type of its variant: W&B's runs table and panels, grouped by group and job
    type, then show one band of seeds a variant. Its place in the grid stands in the config, under `ablation`.
    """
    tracking, place = experiment.tracking, place_of(experiment.tracking.tags)
    config = experiment.to_dict()
    return {
        "run_dir": str(run_dir),
        "run_id": run_id(experiment, run_dir),
        "name": f"{place.variant} s{experiment.seed}" if place else run_dir.name,
        "project": tracking.project,
        "group": tracking.group,
        "job_type": place.variant if place else JOB_TYPE,
        "tags": list(tracking.tags),
        "config": {**config, "ablation": asdict(place)} if place else config,
    }


def sender_setup(
    experiment: Experiment, run_dir: Path, mode: str, patience: float
) -> dict[str, Any]:
    """The first message to the process that talks to W&B."""
    return {
        **identity(experiment, run_dir),
        "entity": experiment.tracking.entity,
        "mode": mode,
        "patience": patience,
    }


def run_id(experiment: Experiment, run_dir: Path) -> str:
    """The W&B run's id, kept in the run directory: every life of the run goes on with the same one."""
    file = run_dir / "wandb_id"
    if file.exists():
        return file.read_text(encoding="utf-8").strip()
    name = f"{experiment.digest()[:8]}-{secrets.token_hex(4)}"
    with exchanged(file, durably=False) as out:
        out.write(f"{name}\n".encode())
    return name
