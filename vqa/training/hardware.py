"""The device of a process, and what it may have of it."""

from __future__ import annotations

import os

import torch

from vqa.config import TrainerConfig
from vqa.errors import ConfigError
from vqa.training.process import GPU_SHARE_VARIABLE


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


def take_share(device: torch.device) -> None:
    """Leave the rest of a GPU's memory to the jobs beside this one, as what started it says."""
    share = os.environ.get(GPU_SHARE_VARIABLE)
    if share and device.type == "cuda":
        torch.cuda.set_per_process_memory_fraction(float(share), device)


def backend_for(device: torch.device) -> str:
    """How processes on such devices talk to each other."""
    return "gloo" if device.type == "cpu" else "nccl"
