"""The device of a process, and what it may have of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from vqa.config import TrainerConfig
from vqa.errors import ConfigError
from vqa.training.process import GPU_SHARE_VARIABLE

VISIBLE = "CUDA_VISIBLE_DEVICES"


def choose_device(config: TrainerConfig) -> torch.device:
    """The device of this process.

    Raises:
        ConfigError: a GPU is asked for and there is none.
    """
    available = torch.cuda.is_available()
    if config.accelerator == "gpu" and not available:
        raise ConfigError(
            "torch finds no GPU on this machine", where="trainer.accelerator", fix="use auto or cpu"
        )
    if config.accelerator == "cpu" or not available:
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))


def require_devices(config: TrainerConfig) -> None:
    """Refuse a training on more GPUs than this machine has.

    Raises:
        ConfigError: it is so.
    """
    found = torch.cuda.device_count()
    if choose_device(config).type == "cuda" and config.devices > found:
        raise ConfigError(
            f"{config.devices} GPUs are asked for, and torch finds {found} on this machine",
            where="trainer.devices",
            fix=f"ask for at most {found}, or set trainer.accelerator=cpu",
        )


def named(device: torch.device) -> str:
    """What computes, as far as it decides how sums are rounded."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU ({torch.backends.cpu.get_cpu_capability()}, threads: {torch.get_num_threads()})"


def take_share(device: torch.device) -> None:
    """Leave the rest of a GPU's memory to the jobs beside this one, as what started it says."""
    share = os.environ.get(GPU_SHARE_VARIABLE)
    if share and device.type == "cuda":
        torch.cuda.set_per_process_memory_fraction(float(share), device)


@contextmanager
def unseen_gpus(device: torch.device) -> Iterator[None]:
    """Let torch look for no GPU on a machine without one.

    Its optimisers ask at every step whether there is one, and under Lightning each answer opens the driver's library.
    Where there are GPUs nothing is hidden: torch may count them once and for all meanwhile.
    """
    if device.type != "cpu" or torch.cuda.device_count():
        yield
        return
    before = os.environ.get(VISIBLE)
    os.environ[VISIBLE] = ""
    try:
        yield
    finally:
        if before is None:
            del os.environ[VISIBLE]
        else:
            os.environ[VISIBLE] = before
