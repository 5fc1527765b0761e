"""The engines by name, each made when it is first wanted.

A new one has its name in `vqa.jobs.record.EngineName`, a module here that keeps to `base`, its settings in
`vqa.jobs.settings`, and a case below; `vqa.jobs.handover` says whether it takes arrays.
"""

from __future__ import annotations

from collections.abc import Callable

from vqa.jobs.engines.base import Capacity, Engine
from vqa.jobs.settings import Settings


def make_engine(name: str, settings: Settings) -> Engine:
    """An engine by its name; what it needs is imported here.

    Raises:
        EngineError: it needs a package that is not installed.
    """
    match name:
        case "slurm":
            from vqa.jobs.engines.slurm import SlurmEngine

            return SlurmEngine(settings.slurm)
        case "ray":
            from vqa.jobs.engines.ray import RayEngine

            return RayEngine(settings.ray)
        case _:
            from vqa.jobs.engines.local import LocalEngine

            return LocalEngine(settings.local)


class Engines:
    """Engines by name.

    Args:
        make: makes one.
    """

    def __init__(self, make: Callable[[str], Engine]) -> None:
        self._make = make
        self._made: dict[str, Engine] = {}
        self._capacities: dict[str, Capacity | None] = {}

    def __getitem__(self, name: str) -> Engine:
        """The engine of that name.

        Raises:
            EngineError: it cannot be had here.
        """
        if name not in self._made:
            self._made[name] = self._make(name)
        return self._made[name]

    def look_again(self) -> None:
        """Have capacities asked anew: machines and settings change."""
        self._capacities.clear()

    def capacity(self, name: str) -> Capacity | None:
        """Of an engine, asked once a look: where there are GPUs a program of the driver's is run for it."""
        if name not in self._capacities:
            self._capacities[name] = self[name].capacity()
        return self._capacities[name]
