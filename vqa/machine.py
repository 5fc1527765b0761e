"""What this process may use of its machine: a container or a batch system gives it less than there is (Linux).

Sources: cgroups(7); the kernel's admin-guide/cgroup-v2 (`memory.max`, `cpu.max`) and cgroup-v1/memory.
"""

from __future__ import annotations

import math
import os
import resource
from collections.abc import Collection, Iterator
from pathlib import Path

PROC, CGROUPS = Path("/proc"), Path("/sys/fs/cgroup")


def cores(proc: Path = PROC, cgroups: Path = CGROUPS) -> int:
    """Cores that may work for this process at once."""
    quotas = [quota for group in _groups("cpu", proc, cgroups) if (quota := _quota(group))]
    return max(1, min([_runnable(), *(math.ceil(quota) for quota in quotas)]))


def is_limited() -> bool:
    """Whether this process may use fewer cores than it can run on: a container's share of time."""
    return cores() < _runnable()


def _runnable() -> int:
    """Cores that this process can run on."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def total_memory(proc: Path = PROC, cgroups: Path = CGROUPS) -> int:
    """Memory that this process and those beside it may hold, in bytes."""
    limits = [limit for limit, _ in _memory(proc, cgroups)]
    return min([os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), *limits])


def free_memory(proc: Path = PROC, cgroups: Path = CGROUPS) -> int:
    """Memory that can still be taken, in bytes; what files are kept in counts as free."""
    left = [limit - used for limit, used in _memory(proc, cgroups)]
    return max(0, min([_available(proc), *left]))


def allow_files(most: int) -> None:
    """Let this process, and those that it starts, have so many files open at once, as far as the system lets it: a
    shell gives them 1,024."""
    now, limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = resource.RLIM_INFINITY
    wanted = most if limit == unlimited else min(most, limit)
    if now != unlimited and now < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, limit))


def _available(proc: Path) -> int:
    for line in _lines(proc / "meminfo"):
        if line.startswith("MemAvailable"):
            return int(line.split()[1]) * 1024
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _memory(proc: Path, cgroups: Path) -> Iterator[tuple[int, int]]:
    """Limit and use of every group that has a limit, in bytes."""
    for group in _groups("memory", proc, cgroups):
        for limits, use, prefix in (
            (("memory.max", "memory.high"), "memory.current", ""),
            (("memory.limit_in_bytes",), "memory.usage_in_bytes", "total_"),
        ):
            known = [most for name in limits if (most := _number(group / name)) is not None]
            if known:
                of_files = (f"{prefix}active_file", f"{prefix}inactive_file")
                used = (_number(group / use) or 0) - _entries(group / "memory.stat", of_files)
                yield min(known), max(0, used)


def _quota(group: Path) -> float | None:
    """Cores' worth of time that a group may use; None where it has no limit."""
    words = " ".join(_lines(group / "cpu.max")).split()
    if len(words) == 2 and words[0].isdigit():
        return int(words[0]) / int(words[1])
    quota, period = _number(group / "cpu.cfs_quota_us"), _number(group / "cpu.cfs_period_us")
    return quota / period if quota and period else None


def _groups(controller: str, proc: Path, cgroups: Path) -> Iterator[Path]:
    """This process's group of a controller and all above it, in either version's tree.

    In a container the path may be one of the host: what of it is not there limits nothing here.
    """
    for line in _lines(proc / "self" / "cgroup"):
        _, _, entry = line.partition(":")
        names, _, path = entry.partition(":")
        if names and controller not in names.split(","):
            continue
        mounted = (cgroups / name for name in (controller, names))
        tree = next((one for one in mounted if one.is_dir()), cgroups) if names else cgroups
        group = tree / path.strip("/")
        yield from (place for place in (group, *group.parents) if place.is_relative_to(tree))


def _number(file: Path) -> int | None:
    """A file's only number; None where it has none, such as `max` or −1."""
    text = " ".join(_lines(file)).strip()
    return int(text) if text.isdigit() else None


def _entries(file: Path, names: Collection[str]) -> int:
    """The sum of the numbers with these names, as far as they are there."""
    entries = (line.partition(" ") for line in _lines(file))
    return sum(int(value) for name, _, value in entries if name in names and value.isdigit())


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
