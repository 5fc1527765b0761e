"""Settings of a process that trains, made before torch is imported. They change speed, never a result."""

from __future__ import annotations

import ctypes
import sys

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3
MEBIBYTE = 1 << 20
GPU_SHARE_VARIABLE = "VQA_GPU_SHARE"
"""How much of its GPU's memory a process may take, between 0 and 1; all of it where there is none."""


def settle() -> None:
    """Keep freed memory for the next step.

    Otherwise glibc gives every large tensor back to the kernel and each step pays for its pages again.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:  # glibc's
        mallopt(M_MMAP_THRESHOLD, 1024 * MEBIBYTE)
        mallopt(M_TRIM_THRESHOLD, 2047 * MEBIBYTE)
        mallopt(M_TOP_PAD, 256 * MEBIBYTE)
