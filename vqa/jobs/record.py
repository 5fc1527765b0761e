"""A job: an experiment that was submitted, what it may use, and how far it has come."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

EngineName = Literal["local", "slurm", "ray"]


class State(StrEnum):
    """Where a job stands.

    queued → starting → running → succeeded, failed, cancelled; preempted waits like queued; a job whose
    processes vanished goes back to queued until its restarts are used up, and is lost then.
    """

    QUEUED = "queued"
    STARTING = "starting"
    RUNNING = "running"
    PREEMPTED = "preempted"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    LOST = "lost"


WAITING = frozenset({State.QUEUED, State.PREEMPTED})
ACTIVE = frozenset({State.STARTING, State.RUNNING})
TERMINAL = frozenset({State.SUCCEEDED, State.FAILED, State.CANCELLED, State.LOST})


class Resources(BaseModel):
    """What a job uses while it runs.

    Attributes:
        accelerator: what its processes compute on.
        nodes: machines.
        devices: processes a machine, each on a device of its own (a GPU, or a share of the cores).
        cores: CPU cores a machine.
        memory_mb: memory a machine, in MiB; 0 leaves it open.
        time_minutes: wall time that Slurm is asked for; 0 leaves it open. The other engines set no limit.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    accelerator: Literal["cpu", "gpu"] = "cpu"
    nodes: int = Field(default=1, ge=1, le=1024)
    devices: int = Field(default=1, ge=1, le=1024)
    cores: int = Field(default=1, ge=1, le=4096)
    memory_mb: int = Field(default=0, ge=0)
    time_minutes: int = Field(default=0, ge=0)

    @property
    def gpus(self) -> int:
        """GPUs a machine."""
        return self.devices if self.accelerator == "gpu" else 0


@dataclass(frozen=True)
class Submission:
    """What the queue is asked to keep: an experiment that was checked in full.

    Attributes:
        experiment: the resolved experiment, as `Experiment.to_dict` gives it; paths are absolute.
        key: an idempotency key, unique to its user.
        priority: higher starts first; among equal ones users take turns, see `vqa.jobs.turns`.
        max_restarts: how often a lost job is started again without having come further.
    """

    experiment: dict[str, Any]
    user: str
    name: str
    engine: EngineName = "local"
    resources: Resources = field(default_factory=Resources)
    group: str | None = None
    key: str | None = None
    priority: int = 0
    max_restarts: int = 3


@dataclass(frozen=True)
class Job:
    """A submitted experiment, as the queue knows it.

    Attributes:
        seq: place in the order of submission.
        attempt: how often it was started; every start has a number of its own.
        restarts: how often it was lost since it last came further.
        reached: the step that it had come to when it was last lost; −1 before.
        handle: the engine's word for the running attempt; None before the engine gave one.
        gpus: the GPUs that the running attempt was given.
        cancel_requested: somebody wants it ended.
        reason: why it is in this state, for people.
        submitted, started, ended: Unix times; `started` is the last attempt's.
    """

    seq: int
    id: str
    state: State
    submission: Submission
    attempt: int = 0
    restarts: int = 0
    reached: int = -1
    handle: str | None = None
    gpus: tuple[str, ...] = ()
    cancel_requested: bool = False
    reason: str = ""
    submitted: float = 0.0
    started: float | None = None
    ended: float | None = None

    @property
    def terminal(self) -> bool:
        """Whether nothing more will happen to it by itself."""
        return self.state in TERMINAL


class Loss(NamedTuple):
    """A job's processes vanished.

    Attributes:
        restarts: losses in a row, this one counted, before it came further.
        reached: the step that it had come to.
    """

    restarts: int
    reached: int


@dataclass(frozen=True)
class Change:
    """One entry of a job's history."""

    time: float
    state: State
    attempt: int
    reason: str


@dataclass(frozen=True)
class Filter:
    """Which jobs; None admits all.

    Attributes:
        before: jobs submitted before the one with this `seq` (for paging).
        prefix: jobs whose id begins so.
    """

    states: tuple[State, ...] | None = None
    group: str | None = None
    user: str | None = None
    engine: str | None = None
    before: int | None = None
    prefix: str | None = None
