"""What every report of a benchmark says: where and when, and medians with their ranges."""

from __future__ import annotations

import datetime
import os
import platform
import statistics
from pathlib import Path
from typing import Any


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
