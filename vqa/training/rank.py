"""One process of a run on several devices: `python -m vqa.training.rank RUN_DIR`."""

from __future__ import annotations

import sys

from vqa.errors import VQAError
from vqa.training.process import settle


def main(run_dir: str) -> int:
    """Train as one rank; 0 where the run succeeded."""
    settle()
    from vqa.training.directory import SUCCEEDED, RunDirectory
    from vqa.training.run import train_here

    run = RunDirectory(run_dir)
    try:
        return 0 if train_here(run.experiment(), run) == SUCCEEDED else 1
    except VQAError as error:
        print(f"vqa: {error}", file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
