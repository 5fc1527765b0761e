"""vqa ablate ABLATION.yaml [key.path=value …] [--dry-run] [--calibrate] [--engine E] [--wait]"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vqa.commands.preparation import preparation_of
from vqa.formatting import harmless, one_line, roughly

if TYPE_CHECKING:
    from vqa.ablation.expand import Grid
    from vqa.ablation.plan import Plan
    from vqa.ablation.schema import Source
    from vqa.jobs.service import Service

EPILOG = """
Run again, the same command submits what is missing and nothing twice. `vqa compare GROUP` shows the table of what has
finished so far.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.epilog = EPILOG
    add = parser.add_argument
    add("ablation", type=Path, help="a base experiment, axes and seeds, in YAML")
    add(
        "overrides",
        nargs="*",
        default=[],
        metavar="key.path=value",
        help="changes to the base experiment",
    )
    add(
        "--dry-run",
        action="store_true",
        help="show the grid and what it would take; submit nothing",
    )
    add(
        "--calibrate",
        action=argparse.BooleanOptionalAction,
        help="train a few steps of each kind of run on this machine to tell what all take "
        "(default: where budget.max_hours is given and nothing else tells)",
    )
    add("--group", metavar="NAME", help="the group of the runs (default: as the file says)")
    add("--engine", choices=("local", "slurm", "ray"), help="where the runs are trained")
    add("--retry-failed", action="store_true", help="submit failed members again")
    add("--wait", action="store_true", help="follow until all have ended, then compare")
    add(
        "--json", action="store_true", help="print members, and with --wait the comparison, as JSON"
    )


def run(args: argparse.Namespace) -> int:
    """Submit what is missing; with --wait 1 where a member failed."""
    from vqa.ablation.expand import expand
    from vqa.ablation.plan import look, retry, submit
    from vqa.ablation.schema import load_ablation

    grid = expand(_grouped(load_ablation(args.ablation, args.overrides), args.group))
    service = connect()
    budget = bool(grid.ablation.budget.max_hours)
    plan = look(grid, service, estimate=args.dry_run or budget or bool(args.calibrate))
    plan = _calibrated(plan, args.calibrate, budget=budget)
    if args.dry_run:
        _print_plan(plan, as_json=args.json)
    plan.check_data(service)
    plan.check_budget()
    if args.dry_run:
        with preparation_of(args.ablation):
            _check_stores(plan, service)
        return 0
    with preparation_of(args.ablation):
        submitted = submit(plan, service, args.engine)
    for note in grid.notes if submitted else []:
        _say(f"note: {note}")
    again = retry(plan, service) if args.retry_failed else []
    _say(
        f"{grid.ablation.group}: {len(submitted)} submitted, {len(again)} submitted again, "
        + _standing(plan, service, retried=args.retry_failed)
    )
    if args.wait:
        return _wait(grid, service, as_json=args.json)
    if args.json:
        print(json.dumps(to_json(look(grid, service)), ensure_ascii=False))
    return 0


def _grouped(source: Source, group: str | None) -> Source:
    """The same ablation under another group's name.

    Raises:
        InputError: it is no name.
    """
    from pydantic import ValidationError

    from vqa.ablation.schema import Ablation
    from vqa.errors import InputError
    from vqa.faults import said

    if group is None:
        return source
    try:
        ablation = Ablation.model_validate({**dict(source.ablation), "group": group})
        return replace(source, ablation=ablation)
    except ValidationError as error:
        raise InputError(said(error.errors()[0]), where="--group") from None


def _check_stores(plan: Plan, service: Service) -> None:
    """Refuse a store that is not there, as the submission would.

    Raises:
        InputError: there is none of that name or path.
    """
    from vqa.data.store import Store
    from vqa.errors import JobError
    from vqa.jobs.local_service import LocalService
    from vqa.jobs.remote import RemoteService

    stores = sorted({str(one.cell.experiment.data.store) for one in plan.missing})
    for store in stores:
        if isinstance(service, LocalService):
            fields = {"data": {"store": store}}
            resolved = service.checker.library.resolve(fields, paths_allowed=True)
            Store.open(Path(resolved["data"]["store"]))
        elif isinstance(service, RemoteService):
            known = [view.name for view in service.stores()]
            if store not in known:
                fix = f"data.store=NAME names one of the server's: {', '.join(known[:20]) or 'none yet'}"
                raise JobError(f"no store {store!r} there", where="data.store", fix=fix)


def _calibrated(plan: Plan, wanted: bool | None, *, budget: bool) -> Plan:
    """The plan with what a few steps of each kind of run tell, where that is wanted or needed."""
    from vqa.ablation.calibrate import calibrate
    from vqa.jobs.connect import server
    from vqa.jobs.home import Home
    from vqa.jobs.library import Library

    unknown = plan.unmeasured(guessed=bool(wanted)) if wanted or (wanted is None and budget) else []
    if unknown and server() is not None:
        _say(
            f"the runs are trained on {server()}: how long they take there cannot be measured here"
        )
    elif unknown:
        library, cores = Library(Home.here()), plan.grid.ablation.resources.cores
        found = calibrate(
            unknown, lambda fields: library.resolve(fields, paths_allowed=True), _say, cores
        )
        plan = plan.told_by(found.measured)
    if budget and plan.seconds is None:
        _say("budget.max_hours cannot be checked: it is not known how long every run takes")
    return plan


def connect() -> Service:
    """The service that the environment names."""
    from vqa.jobs.connect import connect as connect_service

    return connect_service()


def _say(text: str) -> None:

    print(f"vqa: {one_line(text)}", file=sys.stderr)


def _standing(plan: Plan, service: Service, *, retried: bool) -> str:
    """What was there before, what can be done with it, and whose it is."""
    from vqa.ablation.plan import counted

    there = [one for one in plan.members if one.job is not None]
    if not there:
        return "none there before"
    said = f"{len(there)} there before ({counted(there)})"
    if plan.repeatable and not retried:
        said += "; --retry-failed submits the failed ones again"
    if len(plan.failed) > len(plan.repeatable):
        said += "; `vqa resume JOB` queues a cancelled one again"
    return said + _shared(plan, service)


def _shared(plan: Plan, service: Service) -> str:
    """Whose runs stand for some of the grid, where they are not one's own, and how to have one's own."""
    others = plan.others(service.user)
    if not others:
        return ""
    return f"; runs of {', '.join(others)} are shared, not trained twice: --group NAME has all trained for you"


def _print_plan(plan: Plan, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(to_json(plan), ensure_ascii=False))
    else:
        print(to_text(plan))


def to_text(plan: Plan) -> str:
    """A line a variant, and what all of it takes."""
    from vqa.ablation.plan import counted
    from vqa.evaluation.table import columns

    rows = [("variant", "seeds", "state", "each takes")]
    for name in plan.grid.variants:
        members = [one for one in plan.members if one.cell.variant == name]
        seeds = " ".join(str(one.cell.seed) for one in members)
        rows.append((name, seeds, counted(members), roughly(members[0].seconds)))
    missing = len(plan.missing)
    total = f"{len(plan.members)} runs, {missing} to submit; one after the other they take {roughly(plan.seconds)}"
    if missing and plan.seconds is None:
        total += " (no finished run on this store to go by; --calibrate measures)"
    return "\n".join([*columns(rows), "", total, *(f"note: {note}" for note in plan.grid.notes)])


def to_json(plan: Plan) -> dict[str, Any]:
    """Group, members, and seconds that the missing ones take."""
    return {
        "group": plan.grid.ablation.group,
        "axes": {axis.name: [value.label for value in axis.values] for axis in plan.grid.axes},
        "members": [one.to_json() for one in plan.members],
        "missing": len(plan.missing),
        "estimated_seconds": None if plan.seconds is None else round(plan.seconds, 1),
        "notes": plan.grid.notes,
    }


def _wait(grid: Grid, service: Service, *, as_json: bool) -> int:
    from vqa.ablation.follow import follow

    group = grid.ablation.group
    try:
        plan = follow(grid, service, sys.stderr)
    except KeyboardInterrupt:
        _say(f"{group} goes on; `vqa cancel --group {group}` ends it")
        raise
    _compare(group, service, as_json=as_json)
    for one in plan.failed:
        reason = one.job.reason if one.job is not None else ""
        _say(f"{one.cell.variant}, seed {one.cell.seed}: {one.state}: {reason}")
    return 1 if plan.failed else 0


def _compare(group: str, service: Service, *, as_json: bool) -> None:
    """Print the table, where the runs are enough to be compared."""
    from vqa.errors import JobError, ResultError
    from vqa.jobs.remote import RemoteService

    try:
        if isinstance(service, RemoteService):
            _compare_there(partial(service.study, group), as_json=as_json)
        else:
            _compare_here(group, as_json=as_json)
    except (ResultError, JobError) as error:
        if isinstance(error, JobError) and error.kind != "conflict":
            raise
        _say(str(error))


def _compare_here(group: str, *, as_json: bool) -> None:
    from vqa.ablation.forms import print_study
    from vqa.ablation.gather import gather
    from vqa.ablation.study import make_study
    from vqa.jobs.home import Home

    found = gather([group], {}, Home.here())
    print_study(make_study(found.title, found.members, found.places), as_json=as_json)


def _compare_there(study: Callable[[str], str], *, as_json: bool) -> None:
    """The server compares, where the runs lie; people get its Markdown."""
    from vqa.commands.patience import patiently

    text = patiently(partial(study, "json" if as_json else "markdown"))
    print((text if as_json else harmless(text)).rstrip("\n"))
