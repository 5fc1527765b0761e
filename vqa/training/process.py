"""Settings of a process that trains, made before torch is imported. They change speed, never a result."""

from __future__ import annotations

import ctypes
import os
import sys

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3
MEBIBYTE = 1 << 20
GPU_SHARE_VARIABLE = "VQA_GPU_SHARE"
"""How much of its GPU's memory a process may take, between 0 and 1; all of it where there is none."""
TUNABLES, SMALL_BLOCKS = "GLIBC_TUNABLES", "glibc.malloc.tcache_count"
MENDED = (2, 39)
"""The glibc whose aligned allocations leave no crumbs behind."""
PRODUCTS_KEPT = 4096


def settle() -> None:
    """Keep freed memory for the next step, and the code of matrix products.

    Otherwise glibc gives every large tensor back to the kernel and each step pays for its pages again, and oneDNN
    makes code anew for most batches: words differ in number, and it keeps the code of 1,024 shapes.
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", str(PRODUCTS_KEPT))
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:  # glibc's
        mallopt(M_MMAP_THRESHOLD, 1024 * MEBIBYTE)
        mallopt(M_TRIM_THRESHOLD, 2047 * MEBIBYTE)
        mallopt(M_TOP_PAD, 256 * MEBIBYTE)


def variables() -> dict[str, str]:
    """What the environment of a process that trains should have besides, from its start: glibc looks once.

    Up to 2.38 the crumbs that an aligned allocation leaves go to the cache of small blocks, where they part freed
    memory that could be one (https://sourceware.org/bugzilla/show_bug.cgi?id=30723): a heap whose tensors change
    their size with each batch grows to twice what it holds, and pays for new pages all the while.
    """
    told = os.environ.get(TUNABLES, "")
    if SMALL_BLOCKS in told or not _leaves_crumbs():
        return {}
    return {TUNABLES: ":".join(part for part in (told, f"{SMALL_BLOCKS}=0") if part)}


def begin_anew() -> None:
    """Start this very command again in this process, once, where its environment lacks what `variables` tells."""
    missing = variables()
    if missing:
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], os.environ | missing)


def _leaves_crumbs() -> bool:
    """Whether the C library is a glibc before the mended one."""
    try:
        name, version = (os.confstr("CS_GNU_LIBC_VERSION") or "").split()
        return name == "glibc" and tuple(map(int, version.split("."))) < MENDED
    except (AttributeError, OSError, ValueError):  # another C library
        return False
