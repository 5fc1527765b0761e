"""Whether the runs that stand for a grid's cells were trained on the data that it names now.

A run is known by its name: variant, seed and the experiment as it was written. From another directory the path of a
store may lead to another one, and what stands there may have been prepared anew.
"""

from __future__ import annotations

from vqa.ablation.cell import Cell
from vqa.ablation.plan import Plan
from vqa.errors import ConfigError
from vqa.jobs.service import Service


def check_data(plan: Plan, service: Service) -> None:
    """Refuse a group some of whose runs are of other data.

    Nothing is said where the store is not there, or nobody knows what a run was trained on.

    Raises:
        ConfigError: with how many they are, the store and what to do.
    """
    cells = {one.job.id: one.cell for one in plan.members if one.job is not None}
    if not cells:
        return
    group, stores = plan.grid.ablation.group, {job: _store(cell) for job, cell in cells.items()}
    then = service.data_of_group(group)
    now = {store: service.fingerprint(store) for store in set(stores.values())}
    apart = [job for job, store in stores.items() if len({then.get(job), now[store]} - {None}) > 1]
    if not apart:
        return
    first, runs = cells[apart[0]], len(apart)
    raise ConfigError(
        f"{runs} of its runs are of other data than {_store(first)} holds now (the first: {first.name})",
        where=group,
        fix="--group NAME has all runs trained anew, in a group of their own; `vqa compare"
        f" {group}` shows what there is",
    )


def _store(cell: Cell) -> str:
    return str(cell.experiment.data.store)
