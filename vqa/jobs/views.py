"""What a service is asked and what it answers: the same shapes in commands, in the HTTP interface and in `--json`."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, RootModel

from vqa.jobs.record import EngineName, Resources, State
from vqa.names import LONGEST_NAME, NAME_PATTERN, check_title

Name = Annotated[str, Field(min_length=1, max_length=LONGEST_NAME, pattern=NAME_PATTERN)]
Title = Annotated[str, Field(min_length=1, max_length=LONGEST_NAME), AfterValidator(check_title)]
HIGHEST_PRIORITY = 1000
Key = Annotated[str, Field(min_length=1, max_length=200)]


class View(BaseModel):
    """A closed, frozen shape."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class SubmitRequest(View):
    """An experiment to be run.

    Attributes:
        experiment: as in a YAML file; may be short. `data.store` is the name of one of the service's stores.
        engine: where it runs; the service's default where None.
        name: for people; made of fusion, attention and seed where None.
        group: jobs that belong together, such as an ablation.
        key: an idempotency key: a second submission under it gives the first one's job.
        priority: higher starts first; among equal ones users take turns.
        cores, memory_mb, time_minutes: a machine, see `Resources`; None lets the service choose.
        max_restarts: how often it is started again when its processes vanish before it has come further.
    """

    experiment: dict[str, Any] = Field(examples=[{"data": {"store": "scenes", "batch_size": 64}}])
    engine: EngineName | None = None
    name: Title | None = None
    group: Name | None = None
    key: Key | None = None
    priority: int = Field(default=0, ge=-HIGHEST_PRIORITY, le=HIGHEST_PRIORITY, strict=True)
    cores: int | None = Field(default=None, ge=1, le=4096, strict=True)
    memory_mb: int | None = Field(default=None, ge=0, le=1 << 40, strict=True)
    time_minutes: int | None = Field(default=None, ge=0, le=1 << 24, strict=True)
    max_restarts: int | None = Field(default=None, ge=0, le=1000, strict=True)


class Progress(View):
    """How far a run has come, from its journal.

    Attributes:
        step, steps: optimiser steps done and in all.
        epoch: of the last record; counts from 0, as the journal does.
        loss: the last training loss.
        best: best validation accuracy so far, 0 to 100.
        questions_per_second: at the last record; over the whole training once the run has ended with a result.
        seconds_left: as long as the rest would take at the mean speed of this attempt; None before it is known.
        heartbeat_age: seconds since the runner's last sign of life; None where there was none.
    """

    step: int = 0
    steps: int | None = None
    epoch: int | None = None
    loss: float | None = None
    best: float | None = None
    questions_per_second: float | None = None
    seconds_left: float | None = None
    heartbeat_age: float | None = None


class JobView(View):
    """A job as it is shown; see `Job` and `Submission` for its fields."""

    id: str
    seq: int
    name: str
    user: str
    group: str | None
    engine: EngineName
    priority: int
    state: State
    reason: str
    attempt: int
    restarts: int
    max_restarts: int
    cancel_requested: bool
    resources: Resources
    submitted: float
    started: float | None
    ended: float | None
    progress: Progress | None
    overall: float | None = None
    """The score of a run that succeeded, 0 to 100."""


class ChangeView(View):
    """One entry of a job's history."""

    time: float
    state: State
    attempt: int
    reason: str


class JobDetail(View):
    """All that is known of a job.

    Attributes:
        result: the contents of `result.json`; None before the run has ended.
        warnings: what the run said about itself, such as a checkpoint that was passed over.
        logs: names of its log files, for `log`.
        run_dir: on the service's machine; None for who has no business there.
    """

    job: JobView
    experiment: dict[str, Any]
    history: list[ChangeView]
    result: dict[str, Any] | None
    warnings: list[str]
    logs: list[str]
    run_dir: str | None


class JobPage(View):
    """Jobs, newest first.

    Attributes:
        next: give it as `before` for the next page; None on the last one.
        counts: jobs by state over all pages.
    """

    jobs: list[JobView]
    next: int | None
    counts: dict[State, int]


class GroupView(View):
    """Jobs that belong together, counted by state."""

    name: str
    counts: dict[State, int]


class ScoreView(View):
    """The best score of a user under one protocol, on one split of one store and its data.

    Attributes:
        score: 0 to 100.
        store: its name, or its place where the service shows places.
        job: that has it; of equal ones the first.
        jobs: how many of the user's have a score of this kind.
        data_fingerprint: of the store's data; "" where the result does not say it.
    """

    user: str
    score: float
    protocol: str
    split: str
    store: str
    job: str
    name: str
    group: str | None
    ended: float | None
    jobs: int
    data_fingerprint: str


class GroupData(RootModel[dict[str, str]]):
    """By job of a group, the fingerprint of the data that it was trained on, or would be now."""


class StoreView(View):
    """A store that a submission may name.

    Attributes:
        uploaded_by, uploaded: who sent it from another machine, and when (Unix time); None where it was prepared here.
    """

    name: str
    source: str
    splits: dict[str, int]
    images: int
    text_only: bool
    fingerprint: str
    uploaded_by: str | None = None
    uploaded: float | None = None


class Chunk(View):
    """A piece of a growing text file.

    Attributes:
        text: whole lines only while the run goes on.
        offset: where to go on reading, in bytes.
        rewound: the file was cut back (a run that resumed); `text` begins at the cut.
        ended: the job has ended and nothing will follow.
    """

    text: str
    offset: int
    rewound: bool = False
    ended: bool = False
