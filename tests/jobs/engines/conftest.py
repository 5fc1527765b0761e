"""Fixtures of the engines' tests: a real Slurm and a real Ray, started where a test asks for them."""

from __future__ import annotations

from tests.jobs.engines.ray_cluster import make_ray_engine, ray_cluster
from tests.jobs.engines.slurm_cluster import make_slurm_engine, slurm_cluster, slurm_engine

__all__ = ["make_ray_engine", "make_slurm_engine", "ray_cluster", "slurm_cluster", "slurm_engine"]
