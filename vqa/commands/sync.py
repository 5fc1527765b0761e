"""vqa sync RUN_OR_GROUP …"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys

from vqa.commands.find import run_path


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "runs",
        type=run_path,
        nargs="+",
        metavar="RUN",
        help="a run directory, its job, or a directory of several",
    )
    parser.add_argument(
        "--offline", action="store_true", help="write an offline W&B run; send nothing"
    )
    parser.add_argument(
        "--again", action="store_true", help="send also what W&B already has, which doubles points"
    )
    parser.add_argument("--json", action="store_true", help="print what became of each run as JSON")


def run(args: argparse.Namespace) -> int:
    """Send each run; 1 where one could be neither sent nor written."""
    from vqa.errors import ConfigError
    from vqa.tracking.resend import find_runs, resend
    from vqa.tracking.wandb import allowed_mode

    mode = allowed_mode("offline" if args.offline else "online")
    if mode == "off":
        raise ConfigError("W&B is switched off", where="WANDB_MODE", fix="unset it")
    done = []
    for run_dir in find_runs(args.runs):
        sent = resend(run_dir, mode=mode, again=args.again)
        done.append(dataclasses.asdict(sent))
        if sent.message:
            print(f"vqa: {sent.message}", file=sys.stderr)
        if not args.json:
            place = sent.url or sent.path or ""
            print(f"{run_dir}: {sent.status}, {sent.records} records  {place}".rstrip())
    if args.json:
        print(json.dumps(done, ensure_ascii=False, indent=2))
    return 1 if any(item["status"] == "failed" for item in done) else 0
