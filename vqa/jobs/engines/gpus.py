"""The GPUs of this machine, found without torch."""

from __future__ import annotations

import os
import re
import shutil
import subprocess

from vqa.jobs.engines.base import Capacity
from vqa.jobs.settings import LocalSettings

SECONDS = 20
GPU = re.compile(r"^GPU \d+: .*\(UUID: (GPU-[^)\s]+)\)", re.MULTILINE)
SLICE = re.compile(r"^\s+MIG .*\(UUID: (MIG-[^)\s]+)\)", re.MULTILINE)


def local_capacity(settings: LocalSettings) -> Capacity:
    """What jobs on this machine may use together."""
    machine = Capacity.of_this_machine(local_gpus(settings))
    cores, memory = settings.cores, settings.memory_mb
    return Capacity(
        machine.gpus,
        machine.cores if cores == "auto" else cores,
        machine.memory_mb if memory == "auto" else memory,
        settings.jobs_per_gpu,
    )


def local_gpus(settings: LocalSettings) -> tuple[str, ...]:
    """The GPUs that jobs on this machine may use, as `CUDA_VISIBLE_DEVICES` takes them.

    Those that the settings name; otherwise those that this process may see; otherwise all that the driver lists.
    """
    if settings.gpus != "auto":
        return settings.gpus
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return tuple(part for part in map(str.strip, visible.split(",")) if part not in ("", "-1"))
    return parse_listing(_listing())


def parse_listing(text: str) -> tuple[str, ...]:
    """The UUIDs in the output of `nvidia-smi -L`; a GPU that is cut into slices (MIG) is its slices."""
    blocks = re.split(r"^(?=GPU )", text, flags=re.MULTILINE)
    return tuple(uuid for block in blocks for uuid in SLICE.findall(block) or GPU.findall(block))


def _listing() -> str:
    """What the driver says; nothing where there is none, or where it does not answer."""
    command = shutil.which("nvidia-smi")
    if command is None:
        return ""
    try:
        done = subprocess.run(
            [command, "-L"], capture_output=True, text=True, timeout=SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""
