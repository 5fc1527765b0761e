"""vqa jobs [--state … --group … --user …] [--prune …]"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from vqa.formatting import aligned, duration, plain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vqa.jobs.record import Filter
    from vqa.jobs.views import JobPage, JobView, Progress, ScoreView

STATES = (
    "queued",
    "starting",
    "running",
    "preempted",
    "succeeded",
    "failed",
    "cancelled",
    "lost",
)
HEAD = (
    "job",
    "name",
    "group",
    "state",
    "user",
    "engine",
    "progress",
    "questions/s",
    "best",
    "left",
    "age",
)
LEFT = 6
CELL = 40
"""Characters of a cell of --best; of a longer path the end is shown, where the name stands."""
EPILOG = """
--best: of each user, for each protocol, split, store and its data.
`best` is the best validation accuracy so far, or the score of a job that has succeeded. --prune frees disk space:
`checkpoints` (the default) deletes the checkpoints of jobs that have succeeded; their models, results, predictions
and journals stay. `runs` deletes ended jobs with their run directories; it needs a filter.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.epilog = EPILOG
    add = parser.add_argument
    add("--state", action="append", choices=STATES, help="only these; may be given several times")
    add("--group", help="only this group's")
    add("--user", help="only this user's")
    add("--limit", type=int, default=50, metavar="N", help="at most so many (default: 50)")
    add("--before", type=int, metavar="N", help="the next page, as the end of a page says")
    add("--json", action="store_true", help="print the page as JSON")
    add("--csv", type=Path, metavar="FILE", help="with --best: write it as CSV, too")
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument(
        "--best", action="store_true", help="the best score of each user, for --group and --user"
    )
    instead.add_argument(
        "--prune",
        nargs="?",
        const="checkpoints",
        choices=("checkpoints", "runs"),
        help="delete what ended jobs have left",
    )
    add("--older-than", type=float, metavar="DAYS", help="with --prune: ended so long ago")
    add("--dry-run", action="store_true", help="with --prune: only say what would be deleted")


def run(args: argparse.Namespace) -> int:
    """Print a table of jobs, newest first."""
    from vqa.errors import InputError

    if args.limit < 1:
        raise InputError("must be at least 1", where="--limit")
    if args.csv is not None and not args.best:
        raise InputError("goes with --best", where="--csv")
    if args.prune is not None:
        from vqa.commands.prune import prune

        return prune(args)
    if args.older_than is not None or args.dry_run:
        raise InputError("goes with --prune", where="--older-than, --dry-run")
    if args.best:
        return best(args)
    from vqa.jobs.connect import connect

    page = connect().jobs(wanted(args), args.limit)
    if args.json:
        print(page.model_dump_json(indent=2))
        return 0
    print(to_text(page, time.time()) if page.jobs else nothing(args, page))
    if page.next is not None:
        print(f"vqa: older ones: --before {page.next}", file=sys.stderr)
    return 0


def best(args: argparse.Namespace) -> int:
    """Print the best score of each user."""
    from vqa.errors import InputError
    from vqa.evaluation.files import write_atomically
    from vqa.jobs.connect import connect
    from vqa.jobs.record import Filter
    from vqa.jobs.scores import to_csv

    if args.state or args.before:
        raise InputError("do not go with --best", where="--state, --before")
    found = connect().scores(Filter(group=args.group, user=args.user))
    if args.csv is not None:
        write_atomically(args.csv, [to_csv(found)])
    if args.json:
        print(json.dumps([one.model_dump() for one in found], ensure_ascii=False, indent=2))
    else:
        print(scores_text(found) if found else "no job that has succeeded is like that")
    return 0


def scores_text(scores: Sequence[ScoreView]) -> str:
    """A line a score; those of one protocol, split and store stand together."""
    rows: list[tuple[str, ...]] = [
        ("user", "protocol", "split", "store", "data", "job", "name", "score", "of jobs")
    ]
    for one in scores:
        data = one.data_fingerprint[:12]
        store = one.store if len(one.store) <= CELL else f"…{one.store[1 - CELL :]}"
        about = (one.user, one.protocol, one.split, store, data, one.job, one.name)
        rows.append((*(plain(text, CELL) for text in about), f"{one.score:.2f}", str(one.jobs)))
    return "\n".join(aligned(rows, len(rows[0]) - 2))


def wanted(args: argparse.Namespace) -> Filter:
    """The jobs that the options choose."""
    from vqa.jobs.record import Filter, State

    states = tuple(State(state) for state in args.state) if args.state else None
    return Filter(states=states, group=args.group, user=args.user, before=args.before)


def nothing(args: argparse.Namespace, page: JobPage) -> str:
    """What to do where there is nothing to show."""
    if any((args.state, args.group, args.user, args.before)):
        return "no job is like that; `vqa jobs` shows all"
    return "no jobs yet; `vqa submit CONFIG` queues one"


def to_text(page: JobPage, now: float) -> str:
    """The table, and how many jobs there are in each state; columns that say nothing are left out."""
    rows = [HEAD, *(row(job, now) for job in page.jobs)]
    filled = [i for i in range(len(HEAD)) if any(line[i] for line in rows[1:])]
    left = sum(column < LEFT for column in filled)
    table = "\n".join(aligned([[line[i] for i in filled] for line in rows], left))
    return f"{table}\n\n{counts({str(state): n for state, n in page.counts.items()})}"


def row(job: JobView, now: float) -> tuple[str, ...]:
    """One job's cells, as `HEAD` names them."""
    progress = job.progress
    best = job.overall if job.overall is not None else progress and progress.best
    going = job.state in ("running", "starting")
    speed = progress.questions_per_second if progress and going else None
    left = progress.seconds_left if progress and going else None
    return (
        job.id,
        plain(job.name, 28),
        plain(job.group or "", 20),
        "stopping" if job.cancel_requested and going else str(job.state),
        plain(job.user, 16),
        job.engine,
        percent(progress),
        "" if speed is None else f"{speed:,.0f}",
        "" if best is None else f"{best:.2f}",
        "" if left is None else duration(left),
        duration(now - job.submitted),
    )


def percent(progress: Progress | None) -> str:
    """`62 % 610/984`; empty where nothing is known yet."""
    if progress is None or not (progress.step or progress.steps):
        return ""
    if not progress.steps:
        return str(progress.step)
    share = min(100, 100 * progress.step // progress.steps)
    return f"{share} % {progress.step}/{progress.steps}"


def counts(by_state: Mapping[str, int]) -> str:
    """`12 jobs: 1 running, 11 succeeded`, in the order of a job's life."""
    total = sum(by_state.values())
    parts = [f"{by_state[state]} {state}" for state in STATES if by_state.get(state)]
    return f"{total} job{'' if total == 1 else 's'}: {', '.join(parts)}"
