"""Whether the runs that stand for a grid's cells were trained on the data that it names now.

A run is known by its name: variant, seed and the experiment as it was written. From another directory the path of a
store may lead to another one, and what stands there may have been prepared anew.
"""

from __future__ import annotations

from vqa.ablation.plan import Member, Plan
from vqa.errors import ConfigError
from vqa.jobs.service import Service


def check_data(plan: Plan, service: Service) -> None:
    """Refuse a group some of whose runs are of other data.

    Nothing is said where the store is not there, or nobody knows what a run was trained on.

    Raises:
        ConfigError: with how many they are, the store and what to do.
    """
    known, group = _Fingerprints(service), plan.grid.ablation.group
    apart = [one for one in plan.members if known.differ(one)]
    if not apart:
        return
    store, runs = apart[0].cell.experiment.data.store, len(apart)
    raise ConfigError(
        f"{runs} of its runs are of other data than {store} holds now (the first: {apart[0].cell.name})",
        where=group,
        fix="--group NAME has all runs trained anew, in a group of their own; `vqa compare"
        f" {group}` shows what there is",
    )


class _Fingerprints:
    """The fingerprints of stores as a service finds them, each looked up once."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._known: dict[str, str | None] = {}

    def differ(self, member: Member) -> bool:
        """Whether a member's run is of other data than its cell names."""
        now = None if member.job is None else self._of(str(member.cell.experiment.data.store))
        if member.job is None or now is None:
            return False
        found = self._service.show(member.job.id)
        result = found.result or {}
        # One that failed counts for nothing, and is trained on what its path leads to when it is tried again.
        then = result.get("data_fingerprint") if result.get("status") == "succeeded" else None
        return (then or self._of(found.experiment["data"]["store"])) not in (None, now)

    def _of(self, store: str) -> str | None:
        if store not in self._known:
            self._known[store] = self._service.fingerprint(store)
        return self._known[store]
