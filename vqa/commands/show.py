"""vqa show JOB"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from vqa.formatting import aligned, duration, harmless, moment, plain

if TYPE_CHECKING:
    from vqa.jobs.service import Service
    from vqa.jobs.views import ChangeView, JobDetail, JobView, Progress

LOG_LINES, LOG_BYTES = 12, 4000
MOST = 2000
"""Characters of a reason or a warning: what is to be done stands at its end."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("job", metavar="JOB", help="a job's id, or its beginning")
    parser.add_argument("--json", action="store_true", help="print all that is known as JSON")


def run(args: argparse.Namespace) -> int:
    """Print what a job is, what happened to it, and what came of it."""
    from vqa.commands.find import find_job
    from vqa.jobs.connect import connect

    service = connect()
    detail = service.show(find_job(service, args.job))
    if args.json:
        print(detail.model_dump_json(indent=2))
        return 0
    print("\n\n".join(parts(detail, last_words(service, detail))))
    return 0


def parts(detail: JobDetail, words: list[str]) -> Iterator[str]:
    """The paragraphs: the job, its history, figures, warnings, last log lines, and what can be done."""
    from vqa.evaluation.table import figures_text

    yield "\n".join(aligned(list(facts(detail)), left=2))
    yield "\n".join(["history", *(f"  {line(change)}" for change in detail.history)])
    if detail.result is not None and "overall" in detail.result:
        yield figures_text(detail.result)
    if detail.warnings:
        yield "\n".join(["warnings", *(f"  {plain(text, MOST)}" for text in detail.warnings)])
    if words:
        yield "\n".join(["last lines of its log", *(f"  {text}" for text in words)])
    yield advice(detail.job)


def facts(detail: JobDetail) -> Iterator[tuple[str, str]]:
    """Names and values of what the job is and how far it has come."""
    job = detail.job
    yield "job", f"{job.id}  {plain(job.name)}"
    yield "state", f"{job.state}{': ' + plain(job.reason, MOST) if job.reason else ''}"
    going = job.state in ("starting", "running")
    if job.cancel_requested and going:
        yield "", "is being stopped"
    yield "by", plain(job.user) + (f", group {plain(job.group)}" if job.group else "")
    yield "runs on", f"{job.engine}: {resources(job)}"
    if job.attempt:
        yield (
            "attempt",
            f"{job.attempt}, lost {job.restarts} of at most {job.max_restarts} times without coming further",
        )
    if job.started is not None and (going or job.ended is not None):
        took = (job.ended or time.time()) - job.started
        yield "so far" if going else "took", duration(took)
    if job.progress is not None:
        yield "progress", progress(job.progress, going=going)
    if detail.run_dir is not None:
        yield "run", plain(detail.run_dir, 4096)


def resources(job: JobView) -> str:
    """`2 machines, each 4 processes on gpu, 8 cores, 1000 MiB, 60 min`; the time where its engine limits it."""
    asked = job.resources
    machines = f"{asked.nodes} machines, each " if asked.nodes > 1 else ""
    plural = "es" if asked.devices > 1 else ""
    text = f"{machines}{asked.devices} process{plural} on {asked.accelerator}, "
    text += f"{asked.cores} core{'s' if asked.cores > 1 else ''}"
    text += f", {asked.memory_mb} MiB" if asked.memory_mb else ""
    limited = asked.time_minutes and job.engine == "slurm"
    return text + (f", {asked.time_minutes} min" if limited else "")


def progress(made: Progress, *, going: bool) -> str:
    """How far it has come, in words."""
    from vqa.commands.jobs import percent

    said = [percent(made) or "no step yet"]
    if made.epoch is not None:
        said.append(f"epoch {made.epoch + 1}")  # as its log counts
    if made.loss is not None:
        said.append(f"loss {made.loss:.4g}")
    if made.best is not None:
        said.append(f"best {made.best:.2f}")
    if made.questions_per_second is not None:
        said.append(f"{made.questions_per_second:,.0f} questions/s")
    if going and made.seconds_left is not None:
        said.append(f"{duration(made.seconds_left)} left")
    if going and made.heartbeat_age is not None:
        said.append(f"last sign of life {duration(made.heartbeat_age)} ago")
    return ", ".join(said)


def line(change: ChangeView) -> str:
    """One entry of the history."""
    attempt = f"  attempt {change.attempt}" if change.attempt else ""
    reason = f"  {plain(change.reason)}" if change.reason else ""
    return f"{moment(change.time)}  {change.state:<9}{attempt}{reason}".rstrip()


def last_words(service: Service, detail: JobDetail) -> list[str]:
    """The end of the first process's log of a job that did not end well; of its runner's where that is empty."""
    if detail.job.state not in ("failed", "lost"):
        return []
    for name in ("rank0.log", "runner0.log"):
        if name in detail.logs:
            text = harmless(service.log(detail.job.id, name, -LOG_BYTES).text)
            if text.strip():
                return text.rstrip().split("\n")[-LOG_LINES:]
    return []


def advice(job: JobView) -> str:
    """What can be done now, from here."""
    from vqa.jobs.connect import server

    if job.state in ("failed", "cancelled", "lost"):
        return (
            f"`vqa resume {job.id}` goes on from its last checkpoint; `vqa logs {job.id}` has all"
        )
    if job.state == "succeeded":
        there = (server() or "").rstrip("/")
        page = f"; its page is {there}/jobs/{job.id}" if there else ""
        return f"`vqa ask {job.id} PICTURE QUESTION`; `vqa export {job.id} --to DIR`{page}"
    return f"`vqa logs {job.id} --follow` shows it at work; `vqa cancel {job.id}` ends it"
