"""What runs jobs: this machine, Slurm, Ray."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vqa.jobs.engines.base import Engine
    from vqa.jobs.home import Settings


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
