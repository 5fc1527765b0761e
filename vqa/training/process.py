"""Settings of a process that trains, made before torch is imported. They change speed, never a result."""

from __future__ import annotations

import ctypes
import os
import sys
from typing import Any

from vqa.machine import cores, is_limited

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3
MEBIBYTE = 1 << 20
GPU_SHARE_VARIABLE = "VQA_GPU_SHARE"
"""How much of its GPU's memory a process may take, between 0 and 1; all of it where there is none."""
TUNABLES, SMALL_BLOCKS = "GLIBC_TUNABLES", "glibc.malloc.tcache_count"
MENDED = (2, 39)
"""The glibc whose aligned allocations leave no crumbs behind."""


def settle() -> None:
    """Keep freed memory for the next step, and no more threads than a container has cores.

    Otherwise glibc gives every large tensor back to the kernel and each step pays for its pages again; and OpenMP
    looks at the whole machine, so that threads wait for each other's share of time.
    """
    if is_limited():
        os.environ.setdefault("OMP_NUM_THREADS", str(cores()))
    mallopt = _of_glibc("mallopt")
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, 1024 * MEBIBYTE)
        mallopt(M_TRIM_THRESHOLD, 2047 * MEBIBYTE)
        mallopt(M_TOP_PAD, 256 * MEBIBYTE)


def give_back() -> None:
    """Return all freed memory to the kernel: between two parts of a run, of which one needs what the other does not."""
    trim = _of_glibc("malloc_trim")
    if trim is not None:
        trim(0)


def _of_glibc(name: str) -> Any:
    """A function of the C library where that is glibc."""
    return getattr(ctypes.CDLL(None), name, None) if sys.platform.startswith("linux") else None


def allocator_variables() -> dict[str, str]:
    """What the environment of a process that trains should have besides, from its start: glibc looks once.

    Up to 2.38 the crumbs that an aligned allocation leaves go to the cache of small blocks, where they part freed
    memory that could be one (https://sourceware.org/bugzilla/show_bug.cgi?id=30723): a heap whose tensors change
    their size with each batch grows to twice what it holds, and pays for new pages all the while.
    """
    told = os.environ.get(TUNABLES, "")
    names = {part.partition("=")[0] for part in told.split(":")}
    if SMALL_BLOCKS in names or not _leaves_crumbs():
        return {}
    return {TUNABLES: ":".join(part for part in (told, f"{SMALL_BLOCKS}=0") if part)}


def _leaves_crumbs() -> bool:
    """Whether the C library is a glibc before the mended one."""
    try:
        name, version = (os.confstr("CS_GNU_LIBC_VERSION") or "").split()
        return name == "glibc" and tuple(map(int, version.split("."))) < MENDED
    except (AttributeError, OSError, ValueError):  # another C library
        return False
