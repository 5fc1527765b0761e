"""Which jobs are handed to an engine together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from vqa.jobs.engines.base import ArrayEngine, Engine, Task
from vqa.jobs.record import Job

ARRAYS = {"slurm": 1000}
"""Engines that take many jobs by one call, and how many are looked at for that (Slurm's own limit is 1001)."""


def batches(jobs: Iterable[Job]) -> list[list[Job]]:
    """Jobs that are handed over together, in the order of the first of each: of one group, with equal needs.

    Where the engine takes no arrays, each alone, so that none overtakes another.
    """
    found: dict[tuple[object, ...], list[Job]] = {}
    for job in jobs:
        wanted = job.submission
        alone = wanted.group is None or wanted.resources.nodes > 1 or wanted.engine not in ARRAYS
        key = (wanted.engine, job.id if alone else wanted.group, wanted.priority, wanted.resources)
        found.setdefault(key, []).append(job)
    return list(found.values())


def submitted(engine: Engine, tasks: Sequence[Task]) -> list[str]:
    """Their handles; an array of one is none."""
    if len(tasks) > 1 and isinstance(engine, ArrayEngine):
        return engine.submit_array(tasks)
    return [engine.submit(task) for task in tasks]
