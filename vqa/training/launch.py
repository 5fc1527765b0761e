"""Start the processes of a run on this machine, so that none outlives the one that started them."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from vqa.lifetime import die_with
from vqa.machine import cores
from vqa.outputs import naming
from vqa.training.process import allocator_variables

LAST_LINES, LAST_BYTES = 5, 4096


def is_rank() -> bool:
    """Whether this process is one of a run's ranks."""
    return "LOCAL_RANK" in os.environ


def this_node() -> int:
    """The number of this machine among those of a run, from `NODE_RANK`."""
    return int(os.environ.get("NODE_RANK") or 0)


@dataclass(frozen=True)
class Rank:
    """One process of a run.

    Attributes:
        number: its global rank.
        log: its output, of all lives of the run.
        log_start: where the output of this life begins, in bytes.
    """

    number: int
    process: subprocess.Popen[bytes]
    log: Path
    log_start: int

    @property
    def code(self) -> int | None:
        """Its exit code, negative for a signal; None while it runs."""
        return self.process.poll()

    def signal(self, number: int) -> None:
        """Send it a signal; nothing where it has ended."""
        if self.code is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(number)

    @property
    def spoke(self) -> float:
        """When it last wrote something, a Unix time."""
        try:
            return self.log.stat().st_mtime
        except OSError:
            return float("inf")

    def last_words(self) -> str:
        """The last lines that it wrote; of a message of this program that one alone."""
        try:
            with self.log.open("rb") as file:
                end = file.seek(0, os.SEEK_END)
                file.seek(max(self.log_start, end - LAST_BYTES))
                lines = file.read().decode(errors="replace").strip().splitlines()
        except OSError:
            return ""
        if lines and lines[-1].startswith("vqa: "):
            return lines[-1].removeprefix("vqa: ")
        return "\n".join(lines[-LAST_LINES:])


def start_ranks(
    run_dir: Path, devices: int, nodes: int, marks: Mapping[str, str] | None = None
) -> list[Rank]:
    """Start `python -m vqa.training.rank RUN_DIR` once a device of this node, each logging to logs/rank<N>.log.

    `NODE_RANK`, `MASTER_ADDR` and `MASTER_PORT` come from the environment where a run spans nodes.

    Args:
        marks: further variables, by which the processes can be found.

    Raises:
        OSError: a process cannot be started; none is left.
    """
    ranks: list[Rank] = []
    try:
        for variables in variables_of_ranks(devices, nodes):
            number = int(variables["RANK"])
            ranks.append(_start(run_dir, number, {**(marks or {}), **variables}))
    except OSError:
        kill_all(ranks)
        raise
    return ranks


def variables_of_ranks(devices: int, nodes: int = 1) -> list[dict[str, str]]:
    """By which the ranks of this node find each other: those of each, to be added to its environment."""
    node = this_node()
    common = {
        "WORLD_SIZE": str(devices * nodes),
        "NODE_RANK": str(node),
        "MASTER_ADDR": os.environ.get("MASTER_ADDR") or "127.0.0.1",
        "MASTER_PORT": os.environ.get("MASTER_PORT") or str(_free_port()),
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS") or str(max(1, cores() // devices)),
    }
    return [
        {**common, "RANK": str(node * devices + local), "LOCAL_RANK": str(local)}
        for local in range(devices)
    ]


def kill_all(ranks: list[Rank]) -> None:
    """Kill what still runs and wait until it is gone."""
    for rank in ranks:
        rank.signal(signal.SIGKILL)
    for rank in ranks:
        rank.process.wait()


def _start(run_dir: Path, rank: int, variables: dict[str, str]) -> Rank:
    """In a process group of its own: a terminal's Ctrl-C reaches the parent alone, which passes it on once."""
    logs = run_dir / "logs"
    logs.mkdir(exist_ok=True)
    file = logs / f"rank{rank}.log"
    with file.open("ab") as log, naming(Path(sys.executable)):
        start = log.tell()
        process = subprocess.Popen(
            [sys.executable, "-m", "vqa.training.rank", str(run_dir)],
            env=_inherited() | allocator_variables() | variables,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            process_group=0,
            preexec_fn=die_with(os.getpid()),
        )
    return Rank(rank, process, file, start)


def _inherited() -> dict[str, str]:
    """This environment without Slurm's variables: Lightning would take a rank for a task of Slurm's own."""
    return {key: value for key, value in os.environ.items() if not key.startswith("SLURM_")}


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
