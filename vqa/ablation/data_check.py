"""Whether the runs that stand for a grid's cells were trained on the data that it names now.

A run is known by its name: variant, seed and the experiment as it was written. From another directory the path of a
store may lead to another one, and what stands there may have been prepared anew.
"""

from __future__ import annotations

from vqa.ablation.plan import Plan
from vqa.errors import ConfigError
from vqa.jobs.service import Service


def check_data(plan: Plan, service: Service) -> None:
    """Refuse a group some of whose runs are of other data.

    Nothing is said where the store is not there, or nobody knows what a run was trained on.

    Raises:
        ConfigError: with how many they are, the store and what to do.
    """
    there = [(one, one.job) for one in plan.members if one.job is not None]
    if not there:
        return
    group, stores = (
        plan.grid.ablation.group,
        {str(one.cell.experiment.data.store) for one, _ in there},
    )
    then, now = service.data_of_group(group), {one: service.fingerprint(one) for one in stores}
    apart = [
        one
        for one, job in there
        if len({then.get(job.id), now[str(one.cell.experiment.data.store)]} - {None}) == 2
    ]
    if not apart:
        return
    store, runs = apart[0].cell.experiment.data.store, len(apart)
    raise ConfigError(
        f"{runs} of its runs are of other data than {store} holds now (the first: {apart[0].cell.name})",
        where=group,
        fix="--group NAME has all runs trained anew, in a group of their own; `vqa compare"
        f" {group}` shows what there is",
    )
