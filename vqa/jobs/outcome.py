"""How an attempt of a job ended: what its run directory says, and nothing else."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from vqa.errors import RunError
from vqa.jobs.progress import events_of
from vqa.jobs.record import Job, State
from vqa.outputs import is_failing
from vqa.training.directory import CANCELLED, RunDirectory

ENDS = (State.SUCCEEDED, State.FAILED, State.CANCELLED, State.PREEMPTED)


def result_of(run_dir: Path, job: Job) -> dict[str, Any] | None:
    """The result of this very attempt; an earlier one's does not count.

    Raises:
        RunError: this machine does not read it now, and nobody wants the job cancelled.
    """
    try:
        result = RunDirectory(run_dir).result()
    except RunError as error:
        if is_failing(error) and not job.cancel_requested:
            raise
        return None
    if result is None or result.get("job") != job.id or result.get("attempt") != job.attempt:
        return None
    return result if result.get("status") in ENDS else None


def why_lost(run_dir: Path, attempt: int) -> str:
    """What the runner of this attempt wrote before it gave the run up as lost; its silence otherwise."""
    reasons = [
        str(event.get("reason", "lost"))
        for event in events_of(run_dir)
        if event.get("event") == "lost" and event.get("attempt") == attempt
    ]
    return reasons[-1] if reasons else "its processes vanished without a result"


def reached(run_dir: Path) -> int:
    """The step of the newest checkpoint; −1 where there is none."""
    saved = sorted((run_dir / "checkpoints").glob("step-*.json"))
    number = saved[-1].stem.removeprefix("step-") if saved else "-1"
    return int(number) if number.isdecimal() else -1


def mark_cancelled(run_dir: Path, job: Job) -> str:
    """Have the run of a job that nothing runs any more say that it was cancelled.

    Returns:
        What keeps it from that, ready to be the job's reason; "" where nothing does, or no run was begun.
    """
    try:
        if run_dir.is_dir():
            _mark(RunDirectory(run_dir), job)
    except OSError as error:
        return f"its result.json cannot be written ({error.strerror or error})"
    return ""


def _mark(run: RunDirectory, job: Job) -> None:
    try:
        earlier = run.result() or {}
    except RunError:
        earlier = {}
    fields = {**earlier, "status": CANCELLED, "job": job.id, "attempt": job.attempt}
    run.finish({**fields, "finished": round(time.time(), 3)})
    run.event(CANCELLED)
