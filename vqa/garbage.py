"""Python's cycle collector, kept from records that it can do nothing for."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_collection() -> Iterator[None]:
    """Pause the cycle collector: it would walk millions of records again and again, and none is a cycle."""
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            gc.enable()


def collect_rarely() -> None:
    """Collect cycles after 10,000 new objects, for the whole process: a program that imports torch makes millions that
    stay, and walking them at Python's own pace takes a sixth of the start of a training process."""
    gc.set_threshold(10_000, 10, 10)
