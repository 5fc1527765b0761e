"""vqa logs JOB [--follow] [--rank N] [--metrics]"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from vqa.formatting import harmless

if TYPE_CHECKING:
    from vqa.jobs.service import Service
    from vqa.jobs.views import Chunk

LOOK_SECONDS = 0.5


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add = parser.add_argument
    add("job", metavar="JOB", help="a job's id, or its beginning")
    add("--follow", "-f", action="store_true", help="go on until the job has ended")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--rank", type=int, default=0, metavar="N", help="of this process")
    what.add_argument(
        "--runner", type=int, metavar="NODE", help="of what starts the processes on this machine"
    )
    what.add_argument("--metrics", action="store_true", help="the journal, JSON Lines")


def run(args: argparse.Namespace) -> int:
    """Print what a job has written; escapes in it are shown, not obeyed."""
    from vqa.commands.find import find_job
    from vqa.jobs.connect import connect

    service = connect()
    job, name = find_job(service, args.job), file_name(args)
    there = service.log(job, name)  # a job that is not there is refused before anything is printed
    if not there.text:
        when = "" if there.ended else " yet"
        print(f"vqa: nothing in {name}{when}; `vqa show {job}` says why", file=sys.stderr)
    try:
        for chunk in follow(service, job, name) if args.follow else read(service, job, name):
            if chunk.rewound and args.follow:
                print("vqa: the run went back to its last checkpoint", file=sys.stderr)
            print(harmless(chunk.text), end="", flush=True)
    except KeyboardInterrupt:
        print(f"vqa: {job} goes on", file=sys.stderr)
    return 0


def file_name(args: argparse.Namespace) -> str:
    """The log that is meant.

    Raises:
        JobError: a number below 0.
    """
    from vqa.errors import JobError

    if args.metrics:
        return "metrics"
    kind, number = ("rank", args.rank) if args.runner is None else ("runner", args.runner)
    if number < 0:
        raise JobError("counts from 0", where=f"--{kind}")
    return f"{kind}{number}.log"


def read(service: Service, job: str, name: str) -> Iterator[Chunk]:
    """All that is there."""
    offset = 0
    while (chunk := service.log(job, name, offset)).text:
        yield chunk
        offset = chunk.offset


def follow(service: Service, job: str, name: str) -> Iterator[Chunk]:
    """What is there and what comes, over every restart of the job and of the server, until the job has ended."""
    from vqa.commands.patience import patiently

    offset = 0
    while True:
        chunk = patiently(partial(service.log, job, name, offset))
        if chunk.text or chunk.rewound:
            yield chunk
        if chunk.ended and not chunk.text:
            return
        offset = chunk.offset
        if not chunk.text:
            time.sleep(LOOK_SECONDS)
