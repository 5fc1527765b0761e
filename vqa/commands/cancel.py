"""vqa cancel JOB… [--group NAME]"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from vqa.formatting import plain

if TYPE_CHECKING:
    from vqa.jobs.service import Service
    from vqa.jobs.views import JobView

GROUP = "every job of this group that has not ended; may be given several times"


class Change(NamedTuple):
    """What is done to jobs.

    Attributes:
        job, group: to one, and to those of a group that it can be done to.
        describe: what has become of a job.
        nothing: what is said of a group that has no such job.
    """

    job: Callable[[Service, str], JobView]
    group: Callable[[Service, str], list[JobView]]
    describe: Callable[[JobView], str]
    nothing: str


def configure(parser: argparse.ArgumentParser, group: str = GROUP) -> None:
    """Add the command's arguments."""
    add = parser.add_argument
    add("jobs", nargs="*", metavar="JOB", help="a job's id, or its beginning")
    add("--group", action="append", default=[], metavar="NAME", help=group)
    add("--json", action="store_true", help="print the jobs as JSON")


def run(args: argparse.Namespace) -> int:
    """Have jobs ended: at once where they wait, after their last checkpoint where they run."""
    return apply(
        args,
        Change(
            lambda service, job: service.cancel(job),
            lambda service, group: service.cancel_group(group),
            _cancelled,
            "all of it has ended, or is being stopped",
        ),
    )


def apply(args: argparse.Namespace, change: Change) -> int:
    """Change every job and group that was named; all names are looked up before the first is touched.

    Returns:
        The exit code of the first that refused, 0 where none did.
    """
    from vqa.commands.find import find_group, find_job
    from vqa.errors import InputError, VQAError
    from vqa.jobs.connect import connect

    if not args.jobs and not args.group:
        raise InputError("no job is named", fix="name jobs, or a group with --group NAME")
    service = connect()
    jobs = dict.fromkeys(find_job(service, word) for word in args.jobs)
    groups = dict.fromkeys(find_group(service, name) for name in args.group)
    acts = [partial(_of_group, service, change, name) for name in groups]
    acts += [partial(_of_job, service, change, name) for name in jobs]
    changed: dict[str, JobView] = {}
    code = 0
    for act in acts:
        try:
            changed |= {job.id: job for job in act()}
        except VQAError as error:
            print(f"vqa: {error}", file=sys.stderr)
            code = code or error.exit_code
    show(list(changed.values()), change.describe, as_json=args.json)
    return code


def _of_job(service: Service, change: Change, job: str) -> Iterator[JobView]:
    yield change.job(service, job)


def _of_group(service: Service, change: Change, group: str) -> Iterator[JobView]:
    changed = change.group(service, group)
    if not changed:
        print(f"vqa: group {group}: {change.nothing}; nothing was done", file=sys.stderr)
    yield from changed


def show(jobs: Sequence[JobView], describe: Callable[[JobView], str], *, as_json: bool) -> None:
    """One line a job, or all as JSON."""
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
