"""Fixtures of the engines' tests: tasks; a real Slurm and a real Ray, started where a test asks for them."""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest

from tests.jobs.engines.ray_cluster import make_ray_engine, ray_cluster
from tests.jobs.engines.slurm_cluster import make_slurm_engine, slurm_cluster, slurm_engine
from tests.jobs.engines.tasks import Make, script

__all__ = ["make_ray_engine", "make_slurm_engine", "ray_cluster", "slurm_cluster", "slurm_engine"]


@pytest.fixture
def task(tmp_path: Path) -> Make:
    """Makes a task of a job of its own; settings of its needs by name."""
    return lambda text, **resources: script(tmp_path, secrets.token_hex(4), text, **resources)
