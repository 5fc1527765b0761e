"""vqa train CONFIG [key.path=value …] --run DIR"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vqa.commands.preparation import preparation_of


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("config", type=Path, help="an experiment, in YAML")
    parser.add_argument(
        "overrides", nargs="*", default=[], metavar="key.path=value", help="changes to it"
    )
    parser.add_argument(
        "--run",
        type=Path,
        required=True,
        metavar="DIR",
        help="where the run goes; resumed if unfinished",
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run(args: argparse.Namespace) -> int:
    """Train; 0 where the run succeeded."""
    from vqa.config import load_experiment

    experiment = load_experiment(args.config, args.overrides)
    from vqa.lightning import import_lightning
    from vqa.training.process import settle

    settle()
    import_lightning()
    from vqa.training.directory import SUCCEEDED, RunDirectory
    from vqa.training.result import is_finished
    from vqa.training.run import train

    directory = RunDirectory(args.run)
    finished = directory.experiment_file.exists() and is_finished(directory)
    with preparation_of(args.config):
        result = train(experiment, args.run)
    if finished:
        print(f"vqa: {args.run} had finished before; nothing was trained", file=sys.stderr)
    if args.json:
        print(json.dumps(result.fields, ensure_ascii=False, indent=2))
    elif result.status == SUCCEEDED:
        print(summary(args.run, result.fields))
    else:
        print(
            f"vqa: {result.status}; the same command goes on from the last checkpoint",
            file=sys.stderr,
        )
    return 0 if result.status == SUCCEEDED else 1


def summary(run_dir: Path, fields: Mapping[str, Any]) -> str:
    """The result as a few lines, with what its figures have to be read against."""
    from vqa.evaluation.table import figures_text

    lines = [f"{run_dir}: succeeded", figures_text(fields)]
    if "overall" in fields:
        lines += [f"note: {note}" for note in fields.get("notes", [])]
    return "\n".join(lines)
