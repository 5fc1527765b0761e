"""vqa submit CONFIG [key.path=value …] [--engine local|slurm|ray] [--key IDEMPOTENCY_KEY]"""

from __future__ import annotations

import argparse
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from vqa.commands.preparation import preparation_of
from vqa.formatting import plain

if TYPE_CHECKING:
    from vqa.jobs.service import Service
    from vqa.jobs.views import JobView, SubmitRequest

LOOK_SECONDS = 0.5
EPILOG = """
Prints the job's id as soon as the job is safely queued. Where VQA_SERVER names a server the job runs there,
and data.store is the name of one of its stores.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.epilog = EPILOG
    add = parser.add_argument
    add("config", type=Path, help="an experiment, in YAML")
    add("overrides", nargs="*", default=[], metavar="key.path=value", help="changes to it")
    add("--engine", choices=("local", "slurm", "ray"), help="where it runs (default: as set there)")
    add("--key", help="submitting again under the same key gives the same job, not a second one")
    add("--name", help="for people (default: made of the experiment)")
    add("--group", help="jobs that belong together")
    add(
        "--priority",
        type=int,
        default=0,
        metavar="N",
        help="higher starts first, among equals users take turns (default: 0)",
    )
    add("--cores", type=int, metavar="N", help="CPU cores a machine")
    add("--memory-mb", type=int, metavar="N", help="memory a machine, in MiB")
    add("--time-minutes", type=int, metavar="N", help="wall time to ask Slurm for")
    add(
        "--max-restarts",
        type=int,
        metavar="N",
        help="how often a lost job is started again without having come further",
    )
    add("--wait", action="store_true", help="until it has ended; exits 1 if it did not succeed")
    add("--json", action="store_true", help="print the job as JSON")


def run(args: argparse.Namespace) -> int:
    """Queue a job; with --wait, 0 where it succeeded."""
    asked = request(args)
    from vqa.jobs.connect import connect

    service = connect()
    with preparation_of(args.config):
        job = service.submit(asked)
    if not args.json:
        print(job.id, flush=True)
        hint(job)
        caution(service, job)
    if args.wait:
        job = wait(service, job)
    if args.json:
        print(job.model_dump_json(indent=2))
    return 0 if not args.wait or job.state == "succeeded" else 1


def request(args: argparse.Namespace) -> SubmitRequest:
    """The experiment as it is written, checked here so that a typing error needs no server, with the options.

    Raises:
        ConfigError: a key or a value of the experiment does not fit.
        JobError: an option does not.
    """
    from pydantic import ValidationError

    from vqa.config import load_experiment, read_fields
    from vqa.errors import JobError
    from vqa.faults import said
    from vqa.jobs.views import SubmitRequest

    load_experiment(args.config, args.overrides)
    experiment = read_fields(args.config, args.overrides)
    options = {key: getattr(args, key) for key in SubmitRequest.model_fields if key in args}
    try:
        return SubmitRequest(experiment=experiment, **options)
    except ValidationError as error:
        fault = error.errors()[0]
        option = str(fault["loc"][0]).replace("_", "-")
        raise JobError(said(fault), where=f"--{option}") from None


def hint(job: JobView) -> None:
    """What happens next."""
    from vqa.commands.show import advice

    print(f"vqa: {plain(job.name)} is {job.state}; {advice(job)}", file=sys.stderr)
    if job.resources.time_minutes and job.engine != "slurm":
        why = f"{job.engine} sets no limit of time, Slurm alone does"
        print(f"vqa: --time-minutes does nothing: {why}", file=sys.stderr)


def caution(service: Service, job: JobView) -> None:
    """Say which settings of a job do nothing, and where its score will be of questions that it learns from, as far as
    that can be known from here."""
    from vqa.config import parse_experiment
    from vqa.errors import VQAError
    from vqa.idle import idle
    from vqa.training.splits import resolve_splits

    try:
        experiment = parse_experiment(service.show(job.id).experiment, where=job.id)
        names = _splits(service, str(experiment.data.store))
    except VQAError:  # the job is queued; the run says it too
        return
    if not names:
        return
    splits = resolve_splits(names, experiment)
    for text in filter(
        None, [*idle(experiment, validated=bool(splits.validation)), splits.caution]
    ):
        print(f"vqa: {text}", file=sys.stderr)


def _splits(service: Service, store: str) -> dict[str, int]:
    """The splits of a store, given by its place or by its name there; none where it is not known."""
    if store.startswith("/"):
        from vqa.data.store import Store

        return Store.open(store).manifest.splits
    return next((view.splits for view in service.stores() if view.name == store), {})


def wait(service: Service, job: JobView) -> JobView:
    """Look at a job until it has ended; say each change of its state."""
    from vqa.commands.patience import patiently
    from vqa.jobs.record import TERMINAL, Filter

    shown = job.state
    try:
        while job.state not in TERMINAL:
            time.sleep(LOOK_SECONDS)
            job = patiently(partial(service.jobs, Filter(prefix=job.id), limit=1)).jobs[0]
            if job.state != shown:
                reason = f": {plain(job.reason)}" if job.reason else ""
                print(f"vqa: {job.id} is {job.state}{reason}", file=sys.stderr)
                shown = job.state
    except KeyboardInterrupt:
        print(f"vqa: {job.id} goes on; `vqa cancel {job.id}` ends it", file=sys.stderr)
        raise
    return job
