"""vqa export RUN --to DIR"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from vqa.commands.find import own_run


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("run", type=own_run, help="a finished run, or its job")
    parser.add_argument(
        "--to", type=Path, required=True, metavar="DIR", help="where the model goes; must not exist"
    )


def run(args: argparse.Namespace) -> int:
    """Check the run's model and write it to a folder of its own."""
    from vqa.errors import ModelError
    from vqa.export import load

    if args.to.exists():
        raise ModelError("already exists", where=str(args.to), fix="choose another --to")
    load(args.run).save(args.to)
    print(f"vqa: the model stands at {args.to}", file=sys.stderr)
    return 0
