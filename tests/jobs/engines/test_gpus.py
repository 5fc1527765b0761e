"""Which GPUs jobs may use, without a GPU and without torch."""

from __future__ import annotations

from pathlib import Path

import pytest

from vqa.jobs.engines.gpus import local_capacity, local_gpus, parse_listing
from vqa.jobs.settings import LocalSettings

LISTING = """\
GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-11111111-aaaa)
GPU 1: NVIDIA H100 80GB HBM3 (UUID: GPU-22222222-bbbb)
  MIG 3g.40gb     Device  0: (UUID: MIG-33333333-cccc)
  MIG 3g.40gb     Device  1: (UUID: MIG-44444444-dddd)
"""


def test_a_gpu_in_slices_is_its_slices() -> None:
    assert parse_listing(LISTING) == ("GPU-11111111-aaaa", "MIG-33333333-cccc", "MIG-44444444-dddd")
    assert parse_listing("") == ()
    assert parse_listing("NVIDIA-SMI has failed") == ()


def test_settings_come_before_the_environment_and_that_before_the_driver(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = tmp_path / "nvidia-smi"
    command.write_text(f"#!/bin/sh\n[ \"$1\" = -L ] && cat <<'E'\n{LISTING}E\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert len(local_gpus(LocalSettings())) == 3
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1, 2")
    assert local_gpus(LocalSettings()) == ("1", "2")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert local_gpus(LocalSettings()) == ()
    assert local_gpus(LocalSettings(gpus=("5",))) == ("5",)


@pytest.mark.parametrize("script", ["exit 9", "echo 'GPU 0: x (UUID: GPU-1)'; exit 1"])
def test_a_driver_that_fails_has_no_gpus(
    script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = tmp_path / "nvidia-smi"
    command.write_text(f"#!/bin/sh\n{script}\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert local_gpus(LocalSettings()) == ()


def test_capacity_is_what_the_settings_leave() -> None:
    capacity = local_capacity(LocalSettings(gpus=("0",), cores=3, memory_mb=100))
    assert (capacity.gpus, capacity.cores, capacity.memory_mb) == (("0",), 3, 100)
    assert local_capacity(LocalSettings(gpus=())).cores >= 1
