"""What a process may have of a device, and of the others; torch's own figures stand in the place of a GPU."""

from __future__ import annotations

import os

import pytest
import torch

from vqa.config import TrainerConfig
from vqa.data.memory import free_bytes
from vqa.errors import ConfigError
from vqa.training.hardware import VISIBLE, choose_device, require_devices, take_share, unseen_gpus
from vqa.training.process import GPU_SHARE_VARIABLE


@pytest.mark.parametrize(
    ("share", "free", "held", "left"),
    [(1.0, 900, 0, 900), (0.25, 900, 0, 250), (0.25, 100, 0, 100), (0.25, 900, 240, 10)],
)
def test_what_is_free_of_a_gpu_is_a_process_own_part(
    share: float, free: int, held: int, left: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (free, 1000))
    monkeypatch.setattr(torch.cuda, "get_per_process_memory_fraction", lambda _: share)
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda _: held)
    assert free_bytes(torch.device("cuda", 0)) == left


def test_a_share_is_taken_of_a_gpu_alone_and_where_one_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    taken: list[tuple[float, torch.device]] = []
    monkeypatch.setattr(
        torch.cuda, "set_per_process_memory_fraction", lambda *given: taken.append(given)
    )
    cpu, gpu = torch.device("cpu"), torch.device("cuda", 1)
    monkeypatch.delenv(GPU_SHARE_VARIABLE, raising=False)
    take_share(gpu)
    monkeypatch.setenv(GPU_SHARE_VARIABLE, "0.25")
    take_share(cpu)
    assert taken == []
    take_share(gpu)
    assert taken == [(0.25, gpu)]


@pytest.mark.parametrize(("devices", "found"), [(1, 0), (3, 2)])
def test_more_gpus_than_there_are_are_refused(
    devices: int, found: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: found > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: found)
    with pytest.raises(ConfigError, match="trainer"):
        require_devices(TrainerConfig(accelerator="gpu", devices=devices))
    require_devices(TrainerConfig(accelerator="cpu", devices=devices))
    if found:
        require_devices(TrainerConfig(devices=found))
        with pytest.raises(ConfigError, match="3 GPUs are asked for, and torch finds 2"):
            require_devices(TrainerConfig(devices=devices))
        # What one process evaluates was trained elsewhere.
        assert choose_device(TrainerConfig(devices=devices)) == torch.device("cuda", 0)


@pytest.mark.parametrize("before", [None, "0,1"])
@pytest.mark.parametrize(
    ("kind", "gpus", "hidden"), [("cpu", 0, True), ("cpu", 2, False), ("cuda", 2, False)]
)
def test_no_gpu_is_looked_for_where_there_is_none(
    kind: str, gpus: int, hidden: bool, before: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.delenv(VISIBLE, raising=False)
    if before is not None:
        monkeypatch.setenv(VISIBLE, before)
    found: list[str | None] = []

    def compute() -> None:
        with unseen_gpus(torch.device(kind)):
            found.append(os.environ.get(VISIBLE))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        compute()
    assert found == ["" if hidden else before]
    assert os.environ.get(VISIBLE) == before
