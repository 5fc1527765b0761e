"""What of a grid is queued already and on which data, what is missing, and the queueing of it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from vqa.ablation.estimate import Measured, is_known, measured, seconds
from vqa.ablation.expand import NAME_DIGITS, Cell, Grid
from vqa.config import digest_of, parse_experiment
from vqa.errors import ConfigError, JobError
from vqa.formatting import roughly
from vqa.jobs.record import TERMINAL, EngineName, Filter, State
from vqa.jobs.service import Service
from vqa.jobs.views import JobView, SubmitRequest

FAILED = TERMINAL - {State.SUCCEEDED}
"""Ended without success."""
PAGE = 100


@dataclass(frozen=True)
class Planned:
    """A cell with its job.

    Attributes:
        job: None where it was not submitted yet.
        seconds: it will take, as far as is known.
    """

    cell: Cell
    job: JobView | None
    seconds: float | None = None

    @property
    def state(self) -> str:
        """The job's, or `missing`."""
        return "missing" if self.job is None else str(self.job.state)

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready object."""
        return {
            "name": self.cell.name,
            "variant": self.cell.variant,
            "seed": self.cell.seed,
            "labels": self.cell.labels,
            "baseline": self.cell.baseline,
            "state": self.state,
            "job": None if self.job is None else self.job.id,
            "overall": None if self.job is None else self.job.overall,
            "estimated_seconds": None if self.seconds is None else round(self.seconds, 1),
        }


@dataclass(frozen=True)
class Plan:
    """A grid beside the queue."""

    grid: Grid
    members: list[Planned]
    finished: Sequence[Measured] = ()

    @property
    def missing(self) -> list[Planned]:
        """Not submitted yet."""
        return [one for one in self.members if one.job is None]

    @property
    def failed(self) -> list[Planned]:
        """Ended without success."""
        return [one for one in self.members if one.job is not None and one.job.state in FAILED]

    @property
    def repeatable(self) -> list[JobView]:
        """Jobs that failed or were lost; what somebody cancelled is not tried again with them."""
        jobs = [one.job for one in self.failed if one.job is not None]
        return [job for job in jobs if job.state is not State.CANCELLED]

    def others(self, user: str) -> list[str]:
        """Who else has submitted some of it."""
        users = {one.job.user for one in self.members if one.job is not None}
        return sorted(users - {user})

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen by itself."""
        return all(one.job is not None and one.job.state in TERMINAL for one in self.members)

    @property
    def seconds(self) -> float | None:
        """What is missing takes, one run after the other; None where that is not known of every run."""
        known = [one.seconds for one in self.missing if one.seconds is not None]
        return sum(known) if len(known) == len(self.missing) else None

    def unmeasured(self, *, guessed: bool) -> list[Cell]:
        """Cells to submit that nothing tells the time of.

        Args:
            guessed: also those that only runs of another kind on the same store tell of.
        """
        return [
            one.cell
            for one in self.missing
            if one.seconds is None or (guessed and not is_known(one.cell.experiment, self.finished))
        ]

    def told_by(self, further: Sequence[Measured]) -> Plan:
        """The same plan with further runs to go by."""
        finished = [*self.finished, *further]
        members = [
            replace(one, seconds=seconds(one.cell.experiment, finished)) for one in self.members
        ]
        return Plan(self.grid, members, finished)

    def check_data(self, service: Service) -> None:
        """Refuse a group some of whose runs are of other data than its grid names now.

        A run is known by its name: variant, seed and the experiment as it was written. From another directory the path
        of a store may lead to another one, and what stands there may have been prepared anew.

        Nothing is said where the store is not there, or nobody knows what a run was trained on.

        Raises:
            ConfigError: with how many they are, the store and what to do.
        """
        cells = {one.job.id: one.cell for one in self.members if one.job is not None}
        if not cells:
            return
        group, stores = self.grid.ablation.group, {job: _store(cell) for job, cell in cells.items()}
        then = service.data_of_group(group)
        now = {store: service.fingerprint(store) for store in set(stores.values())}
        apart = [
            job for job, store in stores.items() if len({then.get(job), now[store]} - {None}) > 1
        ]
        if not apart:
            return
        first, runs = cells[apart[0]], len(apart)
        raise ConfigError(
            f"{runs} of its runs are of other data than {_store(first)} holds now (the first: {first.name})",
            where=group,
            fix="--group NAME has all runs trained anew, in a group of their own; `vqa compare"
            f" {group}` shows what there is",
        )

    def check_budget(self) -> None:
        """Refuse what is known to take too long.

        Raises:
            ConfigError: naming the time and the budget.
        """
        taken, most = self.seconds or 0.0, self.grid.ablation.budget.max_hours
        if most and taken > 3600 * most:
            raise ConfigError(
                f"what is missing takes about {roughly(taken)}, budget.max_hours allows {most:g}",
                where=self.grid.ablation.group,
                fix="fewer values, seeds or epochs, or a larger budget",
            )


def look(grid: Grid, service: Service, *, estimate: bool = False) -> Plan:
    """Find every cell's job by its name; of several the one that succeeded, else the newest."""
    found: dict[str, JobView] = {}
    for job in jobs_of(service, grid.ablation.group):
        if job.name not in found or job.state == State.SUCCEEDED:
            found[job.name] = job
    found |= _of_older_programs(grid.cells, found, service)
    finished: list[Measured] = measured(service) if estimate else []
    members = [
        Planned(cell, found.get(cell.name), seconds(cell.experiment, finished))
        for cell in grid.cells
    ]
    return Plan(grid, members, finished)


def _of_older_programs(
    cells: Sequence[Cell], found: Mapping[str, JobView], service: Service
) -> dict[str, JobView]:
    """By the name of a cell that has none, its job under another name.

    A name counts every setting, and an older program knew fewer.
    """
    names = {cell.name for cell in cells}
    others = [job for job in found.values() if job.name not in names]
    others.sort(key=lambda job: job.state == State.SUCCEEDED)  # of several the last one counts
    return {
        cell.name: job
        for cell in cells
        if cell.name not in found
        for job in others
        if _stem(job.name) == _stem(cell.name) and _is_of(job, cell, service)
    }


def _stem(name: str) -> str:
    """Variant and seed."""
    return name.rpartition(".")[0]


def _is_of(job: JobView, cell: Cell, service: Service) -> bool:
    """Whether a job bears the name of a cell by the settings that the program knew which queued it."""
    known = _shared(cell.experiment.to_dict(), service.show(job.id).experiment)
    if not job.name.endswith(f".{digest_of(known)[:NAME_DIGITS]}"):
        return False
    try:
        return parse_experiment(known) == cell.experiment  # what it did not know is at its default
    except ConfigError:
        return False


def _shared(fields: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    """Those of some nested fields whose keys others have, too."""
    return {
        key: _shared(value, known[key])
        if isinstance(value, Mapping) and isinstance(known[key], Mapping)
        else value
        for key, value in fields.items()
        if key in known
    }


def jobs_of(service: Service, group: str) -> Iterator[JobView]:
    """All jobs of a group, newest first."""
    before: int | None = None
    while True:
        page = service.jobs(Filter(group=group, before=before), limit=PAGE)
        yield from page.jobs
        if page.next is None:
            return
        before = page.next


def submit(plan: Plan, service: Service, engine: EngineName | None = None) -> list[JobView]:
    """Queue what is missing, all or none; a cell that somebody else queued meanwhile is not queued twice.

    Raises:
        JobError: the service refuses one of them; the cell is named.
    """
    missing = plan.missing
    if not missing:
        return []
    try:
        return service.submit_all([_request(plan.grid, one.cell, engine) for one in missing])
    except JobError as error:
        place = re.match(r"jobs\.(\d+)\b", error.where)
        if place is None or int(place[1]) >= len(missing):
            raise
        cell = missing[int(place[1])].cell
        where = f"cell {cell.variant}, seed {cell.seed}{error.where[place.end() :].replace('.experiment', '', 1)}"
        raise JobError(error.what, where=where, fix=error.fix, kind=error.kind) from error


def retry(plan: Plan, service: Service) -> list[JobView]:
    """Queue what failed again, and not what somebody cancelled; each goes on from its last checkpoint."""
    return [service.resume(job.id) for job in plan.repeatable]


def _request(grid: Grid, cell: Cell, engine: EngineName | None) -> SubmitRequest:
    ablation, resources = grid.ablation, grid.ablation.resources
    return SubmitRequest(
        experiment=cell.experiment.to_dict(),
        engine=engine or resources.engine,
        name=cell.name,
        group=ablation.group,
        key=f"{ablation.group}/{cell.name}",
        priority=resources.priority,
        cores=resources.cores,
        memory_mb=resources.memory_mb,
        time_minutes=resources.time_minutes,
        max_restarts=resources.max_restarts,
    )


def counted(members: Sequence[Planned]) -> str:
    """ "12 succeeded, 3 running"."""
    states = [one.state for one in members]
    return ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))


def _store(cell: Cell) -> str:
    return str(cell.experiment.data.store)
