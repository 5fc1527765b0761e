"""Fixtures of the engines' tests."""

from __future__ import annotations

from tests.jobs.engines.slurm_cluster import make_slurm_engine, slurm_cluster, slurm_engine

__all__ = ["make_slurm_engine", "slurm_cluster", "slurm_engine"]
