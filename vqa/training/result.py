"""What `result.json` says: how a run ended, and with what."""

from __future__ import annotations

import platform
import resource
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import vqa
from vqa.config import Experiment
from vqa.errors import TrainingError
from vqa.training.directory import SUCCEEDED, RunDirectory

if TYPE_CHECKING:
    from vqa.training.state import Progress

PACKAGES = (
    "torch",
    "torchvision",
    "pytorch-lightning",
    "transformers",
    "datasets",
    "wandb",
    "numpy",
)


@dataclass(frozen=True)
class Result:
    """How a run ended.

    Attributes:
        status: succeeded, failed, cancelled or preempted.
        fields: the contents of `result.json`.
    """

    status: str
    fields: dict[str, Any] = field(default_factory=dict)

    @property
    def overall(self) -> float | None:
        """The score under the run's protocol, 0 to 100."""
        return self.fields.get("overall")


def write_result(
    run: RunDirectory, experiment: Experiment, status: str, found: Mapping[str, Any]
) -> Result:
    """Write `result.json` after the matching event; the outcome alone, where a parent makes a result of it.

    Args:
        found: its fields but for the status and what `describe` tells.
    """
    fields = {"status": status, **found, **describe(experiment)}
    if run.under_parent:
        run.finish(fields)
        return Result(status, fields)
    return close_run(run, status, fields)


def close_run(run: RunDirectory, status: str, fields: Mapping[str, Any]) -> Result:
    """Say how a run ended, in its events and then in `result.json`, the last thing of all."""
    fields = {"status": status, **fields} | {"status": status}
    run.event(status, **({"error": fields["error"]} if fields.get("error") else {}))
    run.finish(fields)
    return Result(status, fields)


def describe(experiment: Experiment) -> dict[str, Any]:
    """What every result says of its experiment and of the code that ran it."""
    return {
        "config_hash": experiment.digest(),
        "finished": round(time.time(), 3),
        "versions": versions(),
        "git_commit": git_commit(),
    }


def read_result(run: RunDirectory) -> Result | None:
    """The result of a run that has ended; None for one that has not."""
    fields = run.result()
    return None if fields is None else Result(str(fields.get("status")), fields)


def result_of(run: RunDirectory) -> Result:
    """The result of a run that has ended.

    Raises:
        TrainingError: there is none.
    """
    result = read_result(run)
    if result is None:
        raise TrainingError("the run ended without a result", where=str(run.path))
    return result


def is_finished(run: RunDirectory) -> bool:
    """Whether the run succeeded: any other end can be gone on from."""
    result = read_result(run)
    return result is not None and result.status == SUCCEEDED


def training_figures(progress: Progress) -> dict[str, Any]:
    """How far and how fast the run came, and what memory this process took."""
    return {
        "steps": progress.steps,
        "questions": progress.questions,
        "seconds": round(progress.train_seconds, 2),
        "questions_per_second": round(progress.questions / max(1e-9, progress.train_seconds), 1),
        "best_validation_accuracy": progress.best,
        "best_step": progress.best_step,
        "seconds_to_best": None if progress.best is None else round(progress.best_seconds, 2),
        "stopped_early": progress.stopped_early,
        **peak_memory(),
    }


def peak_memory() -> dict[str, float]:
    """The most that this process held at once in its life, in MiB; of a GPU too where it used one."""
    import torch

    host = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # Linux counts in KiB
    found = {"peak_memory_mb": round(host, 1)}
    if torch.cuda.is_available() and torch.cuda.max_memory_allocated():
        found["peak_gpu_memory_mb"] = round(torch.cuda.max_memory_allocated() / 2**20, 1)
    return found


def versions() -> dict[str, str]:
    """Of everything that a figure may depend on."""
    found = {"python": platform.python_version(), "vqa": vqa.__version__}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def git_commit() -> str | None:
    """The commit of this code where it runs from a checkout."""
    folder = Path(__file__).resolve().parent
    command = ["git", "-C", str(folder), "rev-parse", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None
