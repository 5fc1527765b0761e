"""vqa resume JOB… [--group NAME]"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from vqa.commands import cancel

if TYPE_CHECKING:
    from vqa.jobs.views import JobView

GROUP = "every job of this group that failed or was lost, not what was cancelled; may be given several times"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    cancel.configure(parser, GROUP)


def run(args: argparse.Namespace) -> int:
    """Queue failed, cancelled or lost jobs again; each goes on from its last checkpoint."""
    return cancel.apply(
        args,
        cancel.Change(
            lambda service, job: service.resume(job),
            lambda service, group: service.retry_group(group),
            _resumed,
            "no job of it has failed or was lost",
        ),
    )


def _resumed(job: JobView) -> str:
    return f"{job.state}; it goes on from its last checkpoint, or begins where it has none"
