"""vqa jobs --prune [checkpoints|runs]"""

from __future__ import annotations

import argparse
import json

from vqa.formatting import size

DAY = 86_400.0


def prune(args: argparse.Namespace) -> int:
    """Delete what ended jobs have left, and say how much room that made."""
    import dataclasses

    from vqa.commands.jobs import wanted
    from vqa.jobs.home import Home
    from vqa.jobs.prune import Pruner

    _check(args)
    older_than = (args.older_than or 0.0) * DAY
    pruner = Pruner(Home.here().make(), older_than, args.dry_run)
    found = pruner.checkpoints if args.prune == "checkpoints" else pruner.runs
    done = []
    for item in found(wanted(args)):
        done.append(dataclasses.asdict(item))
        if not args.json:
            print(f"{item.job}  {size(item.bytes)}")
    if args.json:
        print(json.dumps(done, indent=2))
        return 0
    total = size(sum(item["bytes"] for item in done))
    what = "checkpoints" if args.prune == "checkpoints" else "runs"
    print(f"{'would free' if args.dry_run else 'freed'} {total}: {what} of {len(done)} jobs")
    return 0


def _check(args: argparse.Namespace) -> None:
    from vqa.errors import InputError
    from vqa.jobs.connect import server

    if server() is not None:
        raise InputError(
            "is done on the server's own machine", where="--prune", fix="unset VQA_SERVER there"
        )
    if args.older_than is not None and not 0 <= args.older_than < float("inf"):
        raise InputError("must not be below 0", where="--older-than")
    chosen = (args.state, args.group, args.user, args.before, args.older_than)
    if args.prune == "runs" and not any(choice is not None for choice in chosen):
        raise InputError(
            "would delete every ended job",
            where="--prune runs",
            fix="choose with --state, --group, --user or --older-than DAYS (0 means all)",
        )
