"""vqa resume JOB… [--group NAME]"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from vqa.commands import cancel

if TYPE_CHECKING:
    from vqa.jobs.views import JobView

configure = cancel.configure


def run(args: argparse.Namespace) -> int:
    """Queue failed, cancelled or lost jobs again; each goes on from its last checkpoint."""
    return cancel.change(args, lambda service, job: service.resume(job), _ended_early, _resumed)


def _resumed(job: JobView) -> str:
    return f"{job.state}; it goes on from its last checkpoint"


def _ended_early(job: JobView) -> bool:
    return job.terminal and job.state != "succeeded"
