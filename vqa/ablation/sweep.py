"""One run of a W&B sweep: `python -m vqa.ablation.sweep CONFIG [key.path=value …] [--runs DIR]`.

W&B's agent puts the parameters it chose on the command line (`${args_no_hyphens}`) and the ids of run and sweep into
the environment. The run goes to `DIR/<sweep>/<run>`; started again with the same ids it is resumed.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from vqa.config import Experiment, load_experiment
from vqa.errors import InputError, VQAError
from vqa.names import NAME_PATTERN


def main(arguments: Sequence[str] | None = None) -> int:
    """Train the run that the agent asks for; 0 where it succeeded."""
    parser = argparse.ArgumentParser(
        prog="python -m vqa.ablation.sweep", description="One run of a W&B sweep."
    )
    parser.add_argument("config", type=Path, help="an experiment, in YAML")
    parser.add_argument(
        "overrides", nargs="*", metavar="key.path=value", help="what the sweep chose"
    )
    parser.add_argument(
        "--runs", type=Path, default=Path("runs/sweeps"), metavar="DIR", help="where runs go"
    )
    args = parser.parse_intermixed_args(arguments)
    try:
        return _train(args)
    except VQAError as error:
        print(f"vqa: {error}", file=sys.stderr)
        return error.exit_code


def _train(args: argparse.Namespace) -> int:
    experiment = load_experiment(args.config, [as_yaml(text) for text in args.overrides])
    run_dir = (
        args.runs / _id("WANDB_SWEEP_ID", "local") / _id("WANDB_RUN_ID", experiment.digest()[:8])
    )
    from vqa.lightning import import_lightning
    from vqa.training.process import settle

    settle()
    import_lightning()
    from vqa.training.directory import SUCCEEDED
    from vqa.training.run import train

    _take_id(run_dir, experiment)
    return 0 if train(experiment, run_dir).status == SUCCEEDED else 1


def as_yaml(override: str) -> str:
    """W&B writes Python's words; of these YAML reads all but None."""
    return f"{override.removesuffix('=None')}=null" if override.endswith("=None") else override


def _id(variable: str, default: str) -> str:
    """An id that W&B gave; it becomes the name of a directory.

    Raises:
        InputError: it is no plain name.
    """
    given = os.environ.get(variable) or default
    name = given.rpartition("/")[2]
    if not re.fullmatch(NAME_PATTERN, name):
        raise InputError(f"{given!r} is no id", where=variable)
    return name


def _take_id(run_dir: Path, experiment: Experiment) -> None:
    """Let the mirror go on with the W&B run that the agent opened."""
    from vqa.training.directory import RunDirectory

    RunDirectory(run_dir).create(experiment)
    if given := os.environ.get("WANDB_RUN_ID"):
        (run_dir / "wandb_id").write_text(f"{given}\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
