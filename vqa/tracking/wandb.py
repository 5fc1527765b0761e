"""W&B mirrors the journal: it is never needed, and never holds up a step.

W&B runs in a process of its own (`vqa.tracking.sender`), which the trainer talks to through a bounded queue and
a pipe. What goes wrong there costs one line on stderr. What was not sent is in the journal: `vqa sync` sends it.
"""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from vqa.outputs import exchanged
from vqa.tracking.journal import Record
from vqa.tracking.place import place_of

if TYPE_CHECKING:
    from vqa.config import Experiment
    from vqa.data.store import Store
    from vqa.evaluation.predictions import Prediction
    from vqa.export import VQAModel

CLOSE_SECONDS, UPLOAD_SECONDS = 60.0, 25.0
"""What the end of a run may wait for W&B altogether, and of this for the last uploads."""

JOB_TYPE = "train"
"""Of a run of no ablation."""


class Mirror(Protocol):
    """Where a run is shown beside its journal."""

    def log(self, record: Record) -> None:
        """Show a journal record."""

    def samples(self, model: VQAModel, store: Store, predictions: list[Prediction]) -> None:
        """Show some predictions with their pictures."""

    def finish(self, result: Mapping[str, Any]) -> None:
        """Show the result."""

    def close(self) -> None:
        """Let go."""


class NoMirror:
    """Shows nothing."""

    def log(self, record: Record) -> None:
        """Nothing."""

    def samples(self, model: VQAModel, store: Store, predictions: list[Prediction]) -> None:
        """Nothing."""

    def finish(self, result: Mapping[str, Any]) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


class WandbMirror:
    """Shows a run in W&B; no method raises, and only `close` waits, for a bounded time.

    Args:
        experiment: becomes the W&B run's config; `tracking` names project, entity, group and tags.
        run_dir: holds W&B's files, in `wandb/`.
        mode: `online` or `offline`.

    Raises:
        OSError: the process that talks to W&B cannot be started.
    """

    def __init__(self, experiment: Experiment, run_dir: Path, mode: str) -> None:
        from vqa.tracking.link import Link

        self._run_dir, self._count = run_dir.resolve(), experiment.tracking.samples
        self._lost = 0
        setup = sender_setup(experiment, self._run_dir, mode, UPLOAD_SECONDS)
        self._link = Link({**setup, "pid": os.getpid()}, say)

    def log(self, record: Record) -> None:
        """Queue a journal record; returns at once."""
        self._lost += not self._link.put({"record": record})

    def samples(self, model: VQAModel, store: Store, predictions: list[Prediction]) -> None:
        """Write sample predictions with pictures and attention below the run, and queue them."""
        if not self._count or not predictions:
            return
        try:
            from vqa.tracking.samples import write_samples

            folder = write_samples(self._run_dir, model, store, predictions, self._count)
        except Exception as error:  # whatever it is, the run has succeeded
            say(f"W&B gets no sample predictions ({type(error).__name__}: {error})")
            return
        self._link.put({"samples": str(folder)})

    def finish(self, result: Mapping[str, Any]) -> None:
        """Queue the result."""
        self._link.put({"result": dict(result)})

    def close(self) -> None:
        """Wait until W&B has everything, at most a minute."""
        finished = self._link.close(CLOSE_SECONDS)
        if finished and self._lost:
            say(f"W&B misses {self._lost} records; `vqa sync {self._run_dir}` sends all")
        if finished and self._link.opened.get("url"):
            say(f"W&B shows this run at {self._link.opened['url']}")


def open_mirror(experiment: Experiment, run_dir: Path, *, enabled: bool) -> Mirror:
    """The mirror that the experiment asks for; `WANDB_MODE` in the environment can only ask for less."""
    mode = allowed_mode(experiment.tracking.wandb)
    if not enabled or mode == "off":
        return NoMirror()
    try:
        return WandbMirror(experiment, run_dir, mode)
    except OSError as error:
        say(f"W&B could not be started ({error}); the run goes on without it")
        return NoMirror()


def allowed_mode(asked: str) -> str:
    """`asked` (off, offline or online), or less where W&B's own variable forbids it."""
    wish = os.environ.get("WANDB_MODE", "").lower()
    if wish == "disabled" or asked == "off":
        return "off"
    return "offline" if wish in ("offline", "dryrun") else asked


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


def say(message: str) -> None:
    """One line for people."""
    print(f"vqa: {message}", file=sys.stderr, flush=True)
