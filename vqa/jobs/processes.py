"""The processes of a job on this machine, found by the variables that they inherit (Linux).

A process is named by its id and the time when it started: ids are used again. A zombie counts as gone.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path

import psutil

from vqa.jobs.engines.base import JOB_VARIABLE

NODE_VARIABLE = "VQA_JOB_NODE"
"""Set by a runner for what it starts, and for nothing else: the machine's number in the job."""
SWEEP_SECONDS = 5.0


def start_time(pid: int) -> float | None:
    """When a process started, in seconds since the machine did, whatever its clock was set to since; None for one
    that is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    state, *rest = fields.rpartition(")")[2].split()
    return None if state in "ZX" else int(rest[18]) / os.sysconf("SC_CLK_TCK")


def is_alive(pid: int, started: float | None) -> bool:
    """Whether the process that had this id and this start time still runs."""
    return started is not None and start_time(pid) == started


def processes_of(job: str, node: int | None = None) -> list[psutil.Process]:
    """Processes that carry the job's id; with `node`, those that the job's runner of that node started."""
    return _carrying(_marks(job, node))


def sweep(job: str, node: int | None = None) -> int:
    """Kill the processes of a job; with `node`, those that the job's runner of that node started. See `kill_all`."""
    return kill_all(_marks(job, node))


def kill_all(variables: Mapping[str, str]) -> int:
    """Kill the processes with these variables and wait until they are gone; this one and its ancestors are spared.

    Returns:
        How many were killed.

    Raises:
        TimeoutError: some do not die within five seconds.
    """
    spared = _lineage()
    deadline, killed = time.monotonic() + SWEEP_SECONDS, set()
    while found := [one for one in _carrying(variables) if one.pid not in spared]:
        if time.monotonic() > deadline:
            raise TimeoutError(f"processes {[one.pid for one in found]} do not die")
        killed |= {one for one in found if _kill(one)}
        time.sleep(0.01)
    return len(killed)


def _marks(job: str, node: int | None) -> dict[str, str]:
    return {JOB_VARIABLE: job} | ({} if node is None else {NODE_VARIABLE: str(node)})


def _carrying(variables: Mapping[str, str]) -> list[psutil.Process]:
    return [process for process in psutil.process_iter() if _carries(process, variables)]


def _kill(process: psutil.Process) -> bool:
    try:
        process.kill()  # refuses an id that was used again
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False
    return True


def _carries(process: psutil.Process, wanted: Mapping[str, str]) -> bool:
    try:
        variables = process.environ()
    except (psutil.Error, OSError):
        return False
    return wanted.items() <= variables.items() and start_time(process.pid) is not None


def _lineage() -> set[int]:
    """This process and its ancestors."""
    own = psutil.Process()
    return {own.pid, *(parent.pid for parent in own.parents())}
