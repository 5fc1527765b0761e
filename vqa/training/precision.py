"""What `trainer.precision=auto` becomes: bf16 where the device multiplies matrices fast in it, else fp32."""

from __future__ import annotations

import time
from pathlib import Path

import torch

from vqa.config import Experiment

FAST, PLAIN = "bf16-mixed", "32-true"
CPU_FLAGS = frozenset({"avx512_bf16", "amx_bf16"})
CUDA_CAPABILITY = (8, 0)
PAYS = 1.25
"""How many times as fast bfloat16's products must be; those of processors made for it are 1.9 times and more."""


def has_instructions(cpuinfo: str) -> bool:
    """Whether every processor of `/proc/cpuinfo` has instructions for products of bfloat16."""
    lines = (line.partition(":") for line in cpuinfo.splitlines())
    flags = [set(words.split()) for name, _, words in lines if name.strip() == "flags"]
    return bool(flags) and all(CPU_FLAGS & one for one in flags)


def product_seconds(dtype: torch.dtype, side: int = 768) -> float:
    """Seconds of one product of two square matrices on the CPU, of those that this thread has worked."""
    left, right = (torch.ones(side, side, dtype=dtype) for _ in range(2))
    started = time.thread_time()
    torch.mm(left, right)
    return time.thread_time() - started


def products_pay(turns: int = 8) -> bool:
    """Whether this processor's products are faster in bfloat16 than in float32.

    The instructions alone do not say it: of an Intel Xeon (model 207) whose AMX a virtual machine hid, those of
    `avx512_bf16` had half the rate of float32. Runs of one grid must not differ by what else the machine did: the time
    in which others had the processor does not count, both types take turns and the best of each counts. So the first
    turn, in which the library makes its code, does not count either.
    """
    pairs = [
        (product_seconds(torch.float32), product_seconds(torch.bfloat16)) for _ in range(turns)
    ]
    return min(plain for plain, _ in pairs) >= PAYS * min(half for _, half in pairs)


def gpu_is_fast(capability: tuple[int, int]) -> bool:
    """Whether a GPU of this CUDA compute capability has tensor cores for bfloat16."""
    return capability >= CUDA_CAPABILITY


def is_fast(device: torch.device) -> bool:
    """Whether `device` multiplies matrices fast in bfloat16."""
    if device.type == "cuda":
        return gpu_is_fast(torch.cuda.get_device_capability(device))
    try:
        cpuinfo = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return has_instructions(cpuinfo) and products_pay()


def settled(experiment: Experiment, device: torch.device, fast: bool | None = None) -> Experiment:
    """The experiment with a precision that is not `auto`.

    Args:
        fast: what decides; None asks `device`.
    """
    if experiment.trainer.precision != "auto":
        return experiment
    fast = is_fast(device) if fast is None else fast
    return experiment.with_precision(FAST if fast else PLAIN)
