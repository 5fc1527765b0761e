"""The parent of a run on several devices: it starts the ranks, watches over them and writes the result."""

from __future__ import annotations

import signal

from vqa.config import Experiment
from vqa.errors import TrainingError
from vqa.training.directory import (
    CANCELLED,
    FAILED,
    PREEMPTED,
    SUCCEEDED,
    RunDirectory,
    runner_lock,
)
from vqa.training.launch import start_ranks, this_node
from vqa.training.result import Result, close_run, describe
from vqa.training.signals import StopRequests
from vqa.training.supervise import LOST, Verdict, Watch, ending

GRACE_SECONDS = 30.0


def train_on_devices(experiment: Experiment, run: RunDirectory) -> Result:
    """Train with one process a device of this machine.

    Raises:
        RunError: another process does.
        TrainingError: training failed, and `result.json` says why; or a process was killed, and the run goes on
            from its last checkpoint when it is started again.
    """
    node, trainer = this_node(), experiment.trainer
    with runner_lock(run.path, node), StopRequests() as requests:
        if node == 0:
            run.forget_ending()
            run.reserve.keep()
        ranks = start_ranks(run.path, trainer.devices, trainer.num_nodes)
        verdict = Watch(ranks, lambda: _asked(requests), lambda: None, GRACE_SECONDS).wait()
        return _close(experiment, run, verdict, first=node == 0)


def _asked(requests: StopRequests) -> str | None:
    if not requests.received:
        return None
    if requests.received.count(signal.SIGINT) > 1:
        raise KeyboardInterrupt
    return CANCELLED if requests.received[0] == signal.SIGINT else PREEMPTED


def _close(experiment: Experiment, run: RunDirectory, verdict: Verdict, *, first: bool) -> Result:
    """Write the result on the first machine; on another one, say how its own part ended."""
    status, fields = ending(verdict, run.outcome() if first else _own_part(verdict))
    if status == LOST:
        run.event(LOST, **fields)
        raise TrainingError(
            str(fields["reason"]), where=str(run.path), fix="the same command goes on from there"
        )
    fields = {**describe(experiment), **fields}
    result = close_run(run, status, fields) if first else Result(status, fields)
    if status == FAILED:
        raise TrainingError(str(fields["error"]), where=str(run.path / "logs"))
    return result


def _own_part(verdict: Verdict) -> dict[str, str] | None:
    return None if any(verdict.codes) else {"status": SUCCEEDED}
