"""How long runs will take where none has finished yet: each kind of them is trained for a few steps, here and now."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from vqa.ablation.estimate import Measured, kind_of
from vqa.ablation.expand import Cell
from vqa.config import Experiment, parse_experiment
from vqa.data.cache.rule import obstacle
from vqa.errors import InputError, RunError
from vqa.formatting import roughly
from vqa.lifetime import die_with
from vqa.tracking.journal import read_journal
from vqa.training.directory import RunDirectory

STEPS, EVERY = 20, 4
"""So many steps are trained, and the speed is told so often; the first time is not believed, for it warms up."""

MOST_SECONDS = 600.0
AT_MOST = (
    "is estimated as an upper bound: its frozen image encoder read each picture anew, and a whole run keeps what it "
    "makes of them; after `vqa prepare features` that is measured, too"
)
SPEED = "train/questions_per_second"


@dataclass
class Calibration:
    """What was measured on this machine.

    Attributes:
        failed: why some kind could not be.
    """

    measured: list[Measured] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


def calibrate(
    cells: Sequence[Cell],
    resolve: Callable[[dict[str, Any]], dict[str, Any]],
    say: Callable[[str], None],
    cores: int | None = None,
) -> Calibration:
    """Train the first cell of every kind for a few steps, each in a process and a temporary folder of its own.

    Args:
        cells: only these.
        resolve: puts paths in the place of names in an experiment, as the service does.
        say: told what happens.
        cores: that a run may use a machine.
    """
    kinds: dict[object, Cell] = {}
    for cell in cells:
        kinds.setdefault(kind_of(cell.experiment), cell)
    found = Calibration()
    for at, cell in enumerate(kinds.values(), 1):
        say(f"measuring {cell.variant}, {at} of {len(kinds)}")
        try:
            measured, at_most = _measure(cell.experiment, resolve, cores)
            found.measured.append(measured)
            if at_most:
                say(f"{cell.variant} {AT_MOST}")
        except InputError as error:
            found.failed.append(f"{cell.variant} could not be measured: {error}")
            say(found.failed[-1])
    return found


def shortened(experiment: Experiment) -> dict[str, Any]:
    """The same, a few steps long and told to nobody."""
    fields, most = experiment.to_dict(), experiment.trainer.max_steps
    steps = STEPS if most < 0 else min(most, STEPS)
    fields["trainer"] |= {"max_steps": steps, "log_every_n_steps": EVERY}
    fields["tracking"] |= {"wandb": "off", "group": None, "tags": []}
    return fields


def _measure(
    experiment: Experiment,
    resolve: Callable[[dict[str, Any]], dict[str, Any]],
    cores: int | None,
) -> tuple[Measured, bool]:
    """What a few steps tell, and whether a whole run is faster: it keeps features, which needs more steps."""
    if experiment.trainer.num_nodes > 1:
        raise RunError("it needs several machines")
    short = parse_experiment(resolve(shortened(experiment)))
    with tempfile.TemporaryDirectory(prefix="vqa-calibration-") as name:
        folder = Path(name)
        (folder / "experiment.yaml").write_text(short.to_yaml(), encoding="utf-8")
        wall = _train(folder, (cores or 1) // short.trainer.devices)
        result = json.loads((folder / "run" / "result.json").read_bytes())
        speeds = [
            one[SPEED] for one in read_journal(folder / "run" / "metrics.jsonl") if SPEED in one
        ]
        unkept = RunDirectory(folder / "run").features() is False
    at_most = unkept and experiment.data.features == "auto" and obstacle(experiment) is None
    return measured_by(experiment, result, speeds, wall), at_most


def measured_by(
    experiment: Experiment, result: dict[str, Any], speeds: Sequence[float], wall: float
) -> Measured:
    """A short run as if it had been a whole one: of its time, steps, validation and the rest grow each in their way.

    Args:
        speeds: questions a second of steps alone, in order.
        wall: seconds of the whole process.
    """
    training = result["training"]
    seconds, seen = float(training["seconds"]), float(training["questions"])
    speed = median(speeds[1:] or speeds or [float(training["questions_per_second"])])
    questions = float(result["counts"]["training_questions"])
    beside = max(0.0, seconds - seen / speed) / experiment.trainer.check_val_every_n_epoch
    return Measured(
        *kind_of(experiment),
        questions=questions / experiment.data.fraction,
        speed=questions / (questions / speed + beside),
        rest=max(0.0, wall - seconds),
    )


def _train(folder: Path, threads: int) -> float:
    """Seconds that `vqa train` takes.

    Raises:
        RunError: it fails, or takes too long.
    """
    words = ["-m", "vqa.cli", "train", "experiment.yaml", "--run", "run"]
    threads_variable = {"OMP_NUM_THREADS": str(max(1, threads))}
    began = time.monotonic()
    try:
        done = subprocess.run(
            [sys.executable, *words],
            cwd=folder,
            env=os.environ | threads_variable,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=MOST_SECONDS,
            check=False,
            preexec_fn=die_with(os.getpid()),
        )
    except subprocess.TimeoutExpired:
        raise RunError(f"{STEPS} steps take more than {roughly(MOST_SECONDS)}") from None
    if done.returncode:
        raise RunError((done.stderr.strip().splitlines() or ["it failed"])[-1])
    return time.monotonic() - began
