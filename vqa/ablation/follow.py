"""Watching a group of jobs until all have ended."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TextIO

from vqa.ablation.expand import Grid
from vqa.ablation.plan import Plan, Planned, counted, look
from vqa.formatting import roughly
from vqa.jobs.record import ACTIVE
from vqa.jobs.service import Service

PAUSE = 1.0
MOST_SHOWN = 8
UP_AND_CLEAR = "\x1b[{}F\x1b[J"


def follow(
    grid: Grid, service: Service, out: TextIO, pause: Callable[[float], None] = time.sleep
) -> Plan:
    """Show what changes on `out` until every job has ended: a live table on a terminal, else a line a change."""
    show = _Live(out) if out.isatty() else _Lines(out)
    while True:
        plan = look(grid, service)
        show(plan)
        if plan.ended:
            return plan
        pause(PAUSE)


class _Lines:
    """A line whenever the counts change."""

    def __init__(self, out: TextIO) -> None:
        self._out, self._last = out, ""

    def __call__(self, plan: Plan) -> None:
        line = summary(plan)
        if line != self._last:
            print(line, file=self._out, flush=True)
        self._last = line


class _Live:
    """The counts and the running jobs, written over each time."""

    def __init__(self, out: TextIO) -> None:
        self._out, self._height = out, 0

    def __call__(self, plan: Plan) -> None:
        running = [one for one in plan.members if one.job is not None and one.job.state in ACTIVE]
        lines = [summary(plan), *map(running_line, running[:MOST_SHOWN])]
        back = UP_AND_CLEAR.format(self._height) if self._height else ""
        print(back + "\n".join(lines), file=self._out, flush=True)
        self._height = len(lines)


def summary(plan: Plan) -> str:
    """The counts by state."""
    return f"{plan.grid.ablation.group}: {counted(plan.members)}"


def running_line(member: Planned) -> str:
    """How far one job has come."""
    progress = member.job.progress if member.job is not None else None
    if progress is None or not progress.steps:
        return f"  {member.cell.variant}, seed {member.cell.seed}: {member.state}"
    parts = [f"step {progress.step} of {progress.steps}"]
    if progress.loss is not None:
        parts.append(f"loss {progress.loss:.3f}")
    if progress.best is not None:
        parts.append(f"best {progress.best:.1f}")
    if progress.seconds_left is not None:
        parts.append(f"{roughly(progress.seconds_left)} left")
    return f"  {member.cell.variant}, seed {member.cell.seed}: {', '.join(parts)}"
