"""vqa cancel JOB… [--group NAME]"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vqa.jobs.service import Service
    from vqa.jobs.views import JobView


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("jobs", nargs="*", metavar="JOB", help="a job's id, or its beginning")
    parser.add_argument(
        "--group",
        action="append",
        default=[],
        metavar="NAME",
        help="every job of this group that it can be done to; may be given several times",
    )
    parser.add_argument("--json", action="store_true", help="print the jobs as JSON")


def run(args: argparse.Namespace) -> int:
    """Have jobs ended: at once where they wait, after their last checkpoint where they run."""
    return change(args, lambda service, job: service.cancel(job), _goes_on, _cancelled)


def change(
    args: argparse.Namespace,
    act: Callable[[Service, str], JobView],
    wanted: Callable[[JobView], bool],
    describe: Callable[[JobView], str],
) -> int:
    """Do one thing to every job that was named; all names are looked up before the first is touched.

    Args:
        wanted: of the jobs of a group, those that it is done to.

    Returns:
        The exit code of the first job that refused, 0 where none did.
    """
    from vqa.commands.find import find_group, find_job
    from vqa.errors import InputError, VQAError
    from vqa.jobs.connect import connect

    if not args.jobs and not args.group:
        raise InputError("no job is named", fix="name jobs, or a group with --group NAME")
    service = connect()
    names = [find_job(service, word) for word in args.jobs]
    for group in args.group:
        names += [job.id for job in find_group(service, group) if wanted(job)]
    if not names:
        print("vqa: the group has no job to do this to; nothing was done", file=sys.stderr)
    changed, code = [], 0
    for name in dict.fromkeys(names):
        try:
            changed.append(act(service, name))
        except VQAError as error:
            print(f"vqa: {error}", file=sys.stderr)
            code = code or error.exit_code
    show(changed, describe, as_json=args.json)
    return code


def show(jobs: Sequence[JobView], describe: Callable[[JobView], str], *, as_json: bool) -> None:
    """One line a job, or all as JSON."""
    from vqa.commands.terminal import plain

    if as_json:
        print(json.dumps([job.model_dump(mode="json") for job in jobs], indent=2))
        return
    for job in jobs:
        print(f"{job.id}  {plain(job.name, 40)}  {describe(job)}")


def _cancelled(job: JobView) -> str:
    if job.state == "cancelled":
        return "cancelled"
    if job.cancel_requested:
        return "is being stopped"
    return f"had ended before ({job.state}); nothing was done"


def _goes_on(job: JobView) -> bool:
    return not (job.terminal or job.cancel_requested)
