"""What benchmarks share: counts on the command line; where and when, and medians with their ranges in a report."""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any


def at_least(least: int) -> Callable[[str], int]:
    """For `add_argument(type=…)`: whole numbers from `least` on."""

    def whole(text: str) -> int:
        value = int(text)
        if value < least:
            raise argparse.ArgumentTypeError(f"{value}: {least} or more")
        return value

    return whole


def surroundings() -> dict[str, Any]:
    """The processor as the kernel calls it, torch's version, the time, and what else runs."""
    import torch

    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = [line.split(":")[1].strip() for line in lines if "model name" in line]
    return {
        "cpu": names[0] if names else platform.processor(),
        "torch": torch.__version__,
        "time": datetime.datetime.now().isoformat(timespec="minutes"),
        "load": os.getloadavg()[0],
    }


def spread(values: list[float]) -> list[float]:
    """Median, least, most; four digits of each."""
    return [float(f"{v:.4g}") for v in (statistics.median(values), min(values), max(values))]
