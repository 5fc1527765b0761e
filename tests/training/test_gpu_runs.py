"""Runs on a GPU: trained, resumed, streamed, evaluated elsewhere, watched; skipped where there is none."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.training.test_resume import Death, die_at
from tests.training.test_train import poison
from vqa.cli import main
from vqa.config import Experiment
from vqa.data.batches import send, send_together
from vqa.data.memory import free_bytes
from vqa.errors import NonFiniteLossError
from vqa.evaluation.predictions import read_predictions
from vqa.tracking.journal import read_journal
from vqa.training.hardware import take_share
from vqa.training.process import GPU_SHARE_VARIABLE
from vqa.training.run import train

Make = Callable[..., Experiment]
FROZEN = {
    "image_encoder": {"name": "small", "channels": [4, 8], "strides": [2, 2], "frozen": True},
    "attention": {"name": "soft", "glimpses": 2, "hidden": 8},
}


@pytest.fixture
def make(experiment: Make, scenes_store: Path, tmp_path: Path, gpu: torch.device) -> Make:
    """Experiments that train on a GPU, over a store of their own."""
    store = tmp_path / "store"
    shutil.copytree(scenes_store, store, ignore=shutil.ignore_patterns("cache"))

    def made(model: dict[str, Any] | None = None, **settings: Any) -> Experiment:
        trainer = {
            "accelerator": "gpu",
            "max_epochs": 2,
            "log_every_n_steps": 2,
            "checkpoint_every_n_steps": 2,
            "precision": settings.pop("precision", "32-true"),
            "devices": settings.pop("devices", 1),
        }
        return experiment(
            data={"store": str(store), **settings}, model=model or {}, trainer=trainer
        )

    return made


def losses(run: Path) -> list[float]:
    return [r["train/loss"] for r in read_journal(run / "metrics.jsonl") if "train/loss" in r]


def answers(run: Path) -> list[str | None]:
    return [one.answer for one in read_predictions(run / "predictions" / "test.jsonl")]


def memory(run: Path) -> dict[str, Any]:
    lines = (run / "events.jsonl").read_text().splitlines()
    found: dict[str, Any] = [e for e in map(json.loads, lines) if e["event"] == "memory"][-1]
    return found


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "16-mixed", "auto"])
def test_it_trains_and_a_cpu_says_the_same_afterwards(
    make: Make, tmp_path: Path, gpu: torch.device, precision: str
) -> None:
    run = tmp_path / "run"
    assert train(make(precision=precision), run).status == "succeeded"
    assert memory(run)["device"] == str(gpu)
    assert all(np.isfinite(losses(run)))
    said = answers(run)
    assert main(["evaluate", str(run), "--json"]) == 0
    again = answers(run)
    assert np.mean([one == other for one, other in zip(said, again, strict=True)]) > 0.9


def test_a_run_that_died_goes_on(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(make(), tmp_path / "whole")
    with monkeypatch.context() as patch:
        die_at(7, patch)
        with pytest.raises(Death):
            train(make(), tmp_path / "again")
    assert train(make(), tmp_path / "again").status == "succeeded"
    assert losses(tmp_path / "again") == pytest.approx(losses(tmp_path / "whole"), rel=1e-2)


@pytest.mark.parametrize("model", [FROZEN, {}], ids=["features", "pictures"])
def test_resident_or_streamed_is_the_same(
    make: Make, tmp_path: Path, model: dict[str, Any]
) -> None:
    for resident in ("always", "never"):
        train(make(model, resident=resident), tmp_path / resident)
    assert memory(tmp_path / "always")["splits"][0]["resident"]
    assert not memory(tmp_path / "never")["splits"][0]["resident"]
    one, other = (losses(tmp_path / name) for name in ("always", "never"))
    assert one == pytest.approx(other, rel=1e-3)


def test_features_are_those_of_a_cpu(make: Make, tmp_path: Path) -> None:
    """A run that reads them has the losses of one whose pictures are encoded at every step."""
    for features in ("float16", "off"):
        train(make(FROZEN, features=features), tmp_path / features)
    assert memory(tmp_path / "float16")["what"].startswith("features")
    one, other = (losses(tmp_path / name) for name in ("float16", "off"))
    assert one == pytest.approx(other, rel=2e-2)


def test_arrays_arrive_as_they_were(gpu: torch.device) -> None:
    arrays = [np.arange(7), np.ones((3, 5), np.float32), np.zeros((0, 4)), np.array([True])]
    here = send(arrays, torch.device("cpu"))
    for one, other in zip(here, send_together(arrays, gpu), strict=True):
        assert other.device == gpu
        assert torch.equal(one, other.cpu())


def test_a_loss_that_is_no_number_is_found_though_nothing_waits_for_it(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        poison(7, patch)
        with pytest.raises(NonFiniteLossError, match="step 7"):
            train(make(), tmp_path / "run")
    assert train(make(), tmp_path / "run").status == "succeeded"


@pytest.fixture
def quarter(gpu: torch.device, monkeypatch: pytest.MonkeyPatch) -> Iterator[torch.device]:
    """A GPU of which this process may take a quarter."""
    monkeypatch.setenv(GPU_SHARE_VARIABLE, "0.25")
    take_share(gpu)
    yield gpu
    torch.cuda.set_per_process_memory_fraction(1.0, gpu)


def test_no_more_is_taken_than_a_share(quarter: torch.device) -> None:
    total = torch.cuda.mem_get_info(quarter)[1]
    assert 0 < free_bytes(quarter) <= total / 4
    with pytest.raises(torch.OutOfMemoryError):
        torch.empty(round(0.3 * total), dtype=torch.uint8, device=quarter)


def test_several_gpus_learn_what_one_learns(make: Make, tmp_path: Path) -> None:
    if torch.cuda.device_count() < 2:
        pytest.skip("one GPU alone")
    for devices in (1, 2):
        train(make(devices=devices), tmp_path / str(devices))
    one, two = (losses(tmp_path / name) for name in ("1", "2"))
    assert one == pytest.approx(two, rel=2e-2)
