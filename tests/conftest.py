"""What several rooms' tests share: a small store, and a small experiment on it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from hypothesis import HealthCheck, settings

from vqa.config import Experiment, parse_experiment
from vqa.data.prepare import prepare
from vqa.data.sources.scenes import Scenes
from vqa.garbage import collect_rarely
from vqa.jobs.engines.base import JOB_VARIABLE

settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")  # a machine under load is no failure
collect_rarely()  # as the program does it

SHARED = Path(__file__).resolve().parents[1].parent / "shared" / "data"


@pytest.fixture(scope="session", autouse=True)
def _nothing_runs_on(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Jobs outlive who submitted them, so a test that failed half way may have left one behind."""
    yield
    folder = tmp_path_factory.getbasetemp()
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if JOB_VARIABLE in process.environ() and Path(process.cwd()).is_relative_to(folder):
                process.kill()


@pytest.fixture(scope="session")
def shared() -> Path:
    """The published data sets."""
    if not SHARED.is_dir():
        pytest.skip("the published data sets are not beside this checkout")
    return SHARED


@pytest.fixture
def gpu() -> torch.device:
    """A GPU; a test that wants one is skipped where there is none."""
    if not torch.cuda.is_available():
        pytest.skip("torch finds no GPU here")
    return torch.device("cuda", 0)


@pytest.fixture(scope="session")
def scenes_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 + 10 + 10 generated pictures with four questions each."""
    path = tmp_path_factory.mktemp("stores") / "scenes"
    prepare(
        Scenes({"train": 40, "val": 10, "test": 10}, questions_per_image=4), path, name="scenes"
    )
    return path


@pytest.fixture(scope="session")
def experiment(scenes_store: Path) -> Callable[..., Experiment]:
    """Makes a tiny experiment; overrides are written as sections."""

    def make(**overrides: Any) -> Experiment:
        fields: dict[str, Any] = {
            "data": {"store": str(scenes_store), "batch_size": 32, "image_size": 16},
            "model": {
                "image_encoder": {"name": "small", "channels": [4, 8], "strides": [2, 2]},
                "question_encoder": {"name": "lstm", "dim": 8, "embedding_dim": 8},
                "fusion": {"name": "multiply", "dim": 8},
            },
            "trainer": {"max_epochs": 2, "log_every_n_steps": 2, "accelerator": "cpu"},
        }
        for section, values in overrides.items():
            fields[section] = (
                {**fields.get(section, {}), **values} if isinstance(values, dict) else values
            )
        return parse_experiment(fields)

    return make
