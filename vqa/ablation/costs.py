"""What a variant's runs cost, as their results say it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vqa.ablation.members import Member


def costs(members: Sequence[Member]) -> dict[str, float | None]:
    """Size, speed, time and memory: means over the runs that say them."""
    return {
        "parameters": _mean(members, "counts", "parameters"),
        "questions_per_second": _mean(members, "training", "questions_per_second"),
        "seconds_to_best": _mean(members, "training", "seconds_to_best"),
        "peak_memory_mb": _mean(members, "training", "peak_gpu_memory_mb")
        or _mean(members, "training", "peak_memory_mb"),
    }


def _mean(members: Sequence[Member], section: str, name: str) -> float | None:
    sections = [member.result.get(section) for member in members]
    known = [number(one, name) for one in sections if isinstance(one, Mapping)]
    numbers = [one for one in known if one is not None]
    return sum(numbers) / len(numbers) if numbers else None


def number(section: Mapping[str, Any], name: str) -> float | None:
    """A figure of a result; None where it has none, or something else in its place."""
    value = section.get(name)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number else None  # type: ignore[arg-type]
