"""vqa sync RUN_OR_GROUP …"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vqa.commands.find import run_path

if TYPE_CHECKING:
    from vqa.tracking.resend import Sent

EPILOG = """
What W&B is sent is what a run online sends: curves, summary, tables, artifacts, all made from the run directory.
The trackers of tracking.loggers are not sent anything again: their records are where they were written, and
metrics.jsonl has all of them.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.epilog = EPILOG
    parser.add_argument(
        "runs",
        nargs="+",
        metavar="RUN_OR_GROUP",
        help="a run directory, its job, a group of jobs, or a directory of several runs",
    )
    parser.add_argument(
        "--offline", action="store_true", help="write an offline W&B run; send nothing"
    )
    parser.add_argument(
        "--again", action="store_true", help="send also what W&B already has, which doubles points"
    )
    parser.add_argument("--json", action="store_true", help="print what became of each run as JSON")


def run(args: argparse.Namespace) -> int:
    """Send each run; 1 where one of several could be neither sent nor written."""
    from vqa.errors import ConfigError
    from vqa.tracking.mirrors import allowed_mode

    mode = allowed_mode("offline" if args.offline else "online")
    if mode == "off":
        raise ConfigError("W&B is switched off", where="WANDB_MODE", fix="unset it")
    done = []
    for sent in _send(list(_runs(args.runs)), mode, again=args.again):
        done.append(sent)
        if sent.message:
            print(f"vqa: {sent.message}", file=sys.stderr)
        if not args.json:
            place = sent.url or sent.path or ""
            print(f"{sent.run}: {sent.status}, {sent.records} records  {place}".rstrip())
    if args.json:
        print(json.dumps([dataclasses.asdict(one) for one in done], ensure_ascii=False, indent=2))
    return 1 if any(sent.status in ("failed", "left out") for sent in done) else 0


def _runs(words: Sequence[str]) -> Iterator[Path]:
    """Run directories; of a group those that have begun."""
    from vqa.ablation.gather import unknown
    from vqa.ablation.members import of_group
    from vqa.errors import RunError
    from vqa.jobs.home import Home
    from vqa.tracking.resend import find_runs

    for word in words:
        path, home = run_path(word), Home.here()
        members = None if path.exists() else of_group(word, home)
        if not path.exists() and members is None:
            raise unknown(word, home)
        begun = [one.path for one in members or () if (one.path / "experiment.yaml").is_file()]
        if members is not None and not begun:
            raise RunError(f"no run of {word!r} has begun", fix="see `vqa jobs`")
        yield from find_runs([path] if members is None else begun)


def _send(runs: Sequence[Path], mode: str, *, again: bool) -> Iterator[Sent]:
    """What became of each; of several, one that cannot be sent leaves the others alone."""
    from vqa.errors import InputError
    from vqa.tracking.resend import Sent, resend

    for run_dir in runs:
        try:
            yield resend(run_dir, mode=mode, again=again)
        except InputError as error:
            if len(runs) == 1:
                raise
            yield Sent(str(run_dir), "left out", 0, message=str(error))
