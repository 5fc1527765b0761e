"""The seam between the dispatcher and what runs jobs: local processes, Slurm, Ray.

An engine keeps no state of its own: what it must remember is in the handle, which the queue keeps. It starts
`python -m vqa.jobs.runner RUN_DIR` once a node and says whether that still runs. How a run ended is in its
`result.json` and nowhere else.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol, runtime_checkable

from vqa.jobs.record import Resources
from vqa.machine import cores, total_memory

JOB_VARIABLE, ATTEMPT_VARIABLE, GRACE_VARIABLE = "VQA_JOB_ID", "VQA_JOB_ATTEMPT", "VQA_JOB_GRACE"


class Standing(StrEnum):
    """What an engine says of a handle."""

    PENDING = "pending"
    """Accepted; waits in the engine's own queue."""
    RUNNING = "running"
    """A process of it may be alive."""
    ENDED = "ended"
    """No process of it is alive, and none will be."""
    UNKNOWN = "unknown"
    """The engine does not answer now; ask again."""


@dataclass(frozen=True)
class Task:
    """One attempt of a job, ready to be started.

    Attributes:
        gpus: the GPUs it was given, by index or UUID, where the dispatcher hands them out.
        grace_seconds: time between being asked to stop and being killed.
    """

    job: str
    attempt: int
    run_dir: Path
    resources: Resources
    gpus: tuple[str, ...] = ()
    grace_seconds: float = 30.0

    @property
    def name(self) -> str:
        """The same for every try to start this attempt, and for nothing else."""
        return f"vqa-{self.job}-{self.attempt}"

    @property
    def command(self) -> list[str]:
        """What runs on each node."""
        return [sys.executable, "-m", "vqa.jobs.runner", str(self.run_dir)]

    def environment(self) -> dict[str, str]:
        """Variables that every process of the task inherits; they identify it among all processes."""
        threads = max(1, self.resources.cores // self.resources.devices)
        variables = {
            JOB_VARIABLE: self.job,
            ATTEMPT_VARIABLE: str(self.attempt),
            GRACE_VARIABLE: str(self.grace_seconds),
            "OMP_NUM_THREADS": str(threads),
            "PYTHONUNBUFFERED": "1",
        }
        if self.resources.accelerator == "cpu":
            variables["CUDA_VISIBLE_DEVICES"] = ""
        elif self.gpus:
            variables["CUDA_VISIBLE_DEVICES"] = ",".join(self.gpus)
            variables["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"  # as nvidia-smi counts them
        return variables


@dataclass(frozen=True)
class Capacity:
    """What an engine without a queue of its own can hold at once.

    Attributes:
        gpus: every GPU, by index or UUID.
        cores, memory_mb: of the machine.
        jobs_per_gpu: jobs of one GPU that may share it.
    """

    gpus: tuple[str, ...]
    cores: int
    memory_mb: int
    jobs_per_gpu: int = 1

    @classmethod
    def of_this_machine(cls, gpus: tuple[str, ...]) -> Capacity:
        """Cores and memory that this process may use."""
        return cls(gpus, cores(), total_memory() >> 20)


class Engine(Protocol):
    """Starts tasks and says whether they run.

    Every method raises `EngineError` where the engine cannot be reached or refuses.
    """

    def submit(self, task: Task) -> str:
        """Start a task and return its handle.

        Idempotent: where a task of this name was submitted before, by whomever, that one's handle is returned
        and nothing is started.
        """
        ...

    def standings(self, handles: Sequence[str]) -> dict[str, Standing]:
        """What is known of each handle, whoever submitted it, after any restart of this program."""
        ...

    def cancel(self, handle: str, *, force: bool) -> None:
        """Ask the task to stop (its runner gets TERM), or kill it where `force`; harmless where it has ended."""
        ...

    def logs(self, task: Task) -> list[Path]:
        """Files that the engine itself writes about a task, beside the runner's logs/."""
        ...

    def capacity(self) -> Capacity | None:
        """What fits at once; None where the engine has a queue of its own."""
        ...


@runtime_checkable
class ArrayEngine(Engine, Protocol):
    """An engine that takes many tasks by one call."""

    def submit_array(self, tasks: Sequence[Task]) -> list[str]:
        """Start tasks of equal needs, each on one node, and return a handle for each.

        As idempotent as `submit`, for each task: some of them may have been submitted before, alone or with others.
        A refusal that is not temporary may concern one of them, or their number: fewer may be taken.
        """
        ...
