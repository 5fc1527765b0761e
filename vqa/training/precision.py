"""What `trainer.precision=auto` becomes: bf16 where the device multiplies matrices fast in it, else fp32."""

from __future__ import annotations

from pathlib import Path

import torch

from vqa.config import Experiment

FAST, PLAIN = "bf16-mixed", "32-true"
CPU_FLAGS = frozenset({"avx512_bf16", "amx_bf16"})
CUDA_CAPABILITY = (8, 0)


def cpu_is_fast(cpuinfo: str) -> bool:
    """Whether every processor of `/proc/cpuinfo` has instructions for products of bfloat16."""
    lines = (line.partition(":") for line in cpuinfo.splitlines())
    flags = [set(words.split()) for name, _, words in lines if name.strip() == "flags"]
    return bool(flags) and all(CPU_FLAGS & one for one in flags)


def gpu_is_fast(capability: tuple[int, int]) -> bool:
    """Whether a GPU of this CUDA compute capability has tensor cores for bfloat16."""
    return capability >= CUDA_CAPABILITY


def is_fast(device: torch.device) -> bool:
    """Whether `device` multiplies matrices fast in bfloat16."""
    if device.type == "cuda":
        return gpu_is_fast(torch.cuda.get_device_capability(device))
    try:
        return cpu_is_fast(Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return False


def settled(experiment: Experiment, device: torch.device, fast: bool | None = None) -> Experiment:
    """The experiment with a precision that is not `auto`.

    Args:
        fast: what decides; None asks `device`.
    """
    if experiment.trainer.precision != "auto":
        return experiment
    fast = is_fast(device) if fast is None else fast
    return experiment.with_precision(FAST if fast else PLAIN)
