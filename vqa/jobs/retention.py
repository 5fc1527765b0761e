"""What of a run directory is kept once its job has succeeded."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

Policy = Literal["all", "best", "none"]


def retain(run_dir: Path, policy: Policy) -> None:
    """Remove the checkpoints that a finished run keeps no longer; the exported model always stays.

    Args:
        run_dir: of a job that has succeeded: nothing goes on from it any more.
        policy: `all` keeps what training kept, `best` the best and the last, `none` nothing.
    """
    for manifest in _superfluous(run_dir / "checkpoints", policy):
        manifest.unlink(missing_ok=True)  # first: what has no manifest is no checkpoint
        manifest.with_suffix(".pt").unlink(missing_ok=True)


def disk_use(path: Path) -> int:
    """Bytes that the files under a directory take; links are not followed."""
    total = 0
    for folder, _, files in os.walk(path):
        for name in files:
            try:
                total += (Path(folder) / name).lstat().st_blocks * 512
            except FileNotFoundError:  # a run goes on while this looks
                continue
    return total


def _superfluous(checkpoints: Path, policy: Policy) -> list[Path]:
    """The manifests of checkpoints to be removed."""
    if policy == "all":
        return []
    steps = sorted(checkpoints.glob("step-*.json"))
    return steps[:-1] if policy == "best" else [*steps, *checkpoints.glob("best.json")]
