"""Run one job on this machine: `python -m vqa.jobs.runner RUN_DIR`, once a node.

It starts the ranks, passes signals on, shows that it lives, leaves no process behind, and writes `result.json` last.
It touches nothing but the run directory. Exit codes: 0 succeeded, 75 another runner is at work, 2 no run here,
1 anything else; what counts is `result.json`.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from vqa.errors import VQAError
from vqa.jobs.engines.base import ATTEMPT_VARIABLE, GRACE_VARIABLE, JOB_VARIABLE
from vqa.jobs.heartbeat import Heartbeat
from vqa.jobs.nodes import Peers, write_report
from vqa.jobs.processes import NODE_VARIABLE, sweep
from vqa.outputs import is_failing
from vqa.training.directory import (
    CANCELLED,
    FAILED,
    PREEMPTED,
    SUCCEEDED,
    Held,
    RunDirectory,
    RunLock,
    runner_lock,
)
from vqa.training.disk import disk_full_message, is_disk_full
from vqa.training.launch import start_ranks, this_node
from vqa.training.signals import StopRequests
from vqa.training.supervise import LOST, POLL_SECONDS, Verdict, Watch, ending

HELD = 75
EARLIER_LIFE_SECONDS = 10.0
CANCEL_SECONDS = 0.5


@dataclass(frozen=True)
class Identity:
    """Whose run this is, as the engine's variables say.

    Attributes:
        given: a service runs it; otherwise a person does, by hand.
    """

    job: str
    attempt: int
    grace: float
    node: int
    given: bool

    @classmethod
    def here(cls, run_dir: Path) -> Identity:
        """From the environment; a run that was started by hand is named by its path."""
        job = os.environ.get(JOB_VARIABLE)
        by_hand = f"by-hand-{sha256(os.fsencode(run_dir.resolve())).hexdigest()[:16]}"
        return cls(
            job=job or by_hand,
            attempt=int(os.environ.get(ATTEMPT_VARIABLE) or 1),
            grace=float(os.environ.get(GRACE_VARIABLE) or 30.0),
            node=this_node(),
            given=bool(job),
        )

    def marks(self) -> dict[str, str]:
        """Variables of every process that this runner starts."""
        attempt = str(self.attempt)
        return {JOB_VARIABLE: self.job, ATTEMPT_VARIABLE: attempt, NODE_VARIABLE: str(self.node)}


class Runner:
    """One attempt of a job on this node.

    Args:
        requests: TERM and INT as they come in.
    """

    def __init__(self, run: RunDirectory, identity: Identity, requests: StopRequests) -> None:
        self._run, self._identity, self._requests = run, identity, requests
        self._heartbeat = Heartbeat(run.path, identity.job, identity.attempt, identity.node)
        self._cancel_due, self._cancel, self._seen = 0.0, False, 0
        self._peers: Peers | None = None

    def run(self) -> int:
        """Until every process of the job on this node is gone and what happened is written down.

        Raises:
            Held: another process is at work in the run directory.
            VQAError, OSError: this machine fails.
        """
        try:
            earlier = self._run.result()
            if earlier is not None and self._is_over(earlier):
                return self._keep(earlier)
            self._heartbeat.beat()
            return self._live()
        except Held:
            raise
        except (VQAError, OSError) as error:
            if is_disk_full(error):
                return self._fail(disk_full_message(self._run.path))
            if isinstance(error, OSError) or is_failing(error):
                raise
            return self._fail(str(error))

    def _is_over(self, earlier: Mapping[str, Any]) -> bool:
        """Whether this job has a result that no later life may change."""
        if earlier.get("status") == SUCCEEDED:
            return earlier.get("job") in (self._identity.job, None) or not self._identity.given
        attempt = earlier.get("attempt")
        return (
            self._identity.given
            and earlier.get("status") in (FAILED, CANCELLED)
            and earlier.get("job") == self._identity.job
            and isinstance(attempt, int)
            and attempt >= self._identity.attempt
        )

    def _keep(self, earlier: Mapping[str, Any]) -> int:
        """Change nothing, but let a success of an earlier attempt be this one's too."""
        attempt, identity = earlier.get("attempt"), self._identity
        later = isinstance(attempt, int) and attempt >= identity.attempt
        if identity.given and identity.node == 0 and not later:
            self._run.finish(self._signed(earlier))
        return 0

    def _live(self) -> int:
        experiment, identity = self._run.experiment(), self._identity
        trainer = experiment.trainer
        self._peers = Peers(
            self._run.path, identity.job, identity.attempt, identity.node, trainer.num_nodes
        )
        self._clear()
        if self._asked() is None:
            ranks = start_ranks(
                self._run.path, trainer.devices, trainer.num_nodes, identity.marks()
            )
            self._say(f"started {len(ranks)} ranks of attempt {identity.attempt}")
            verdict = Watch(ranks, self._asked, self._tick, identity.grace).wait()
        else:
            verdict = Verdict((), self._asked())
        if swept := sweep(identity.job, node=identity.node):
            self._say(f"killed {swept} leftover processes")
        self._say(f"the ranks are gone: {verdict}")
        return self._close(verdict)

    def _clear(self) -> None:
        """Let nothing of an earlier life be taken for this one's."""
        run, identity = self._run, self._identity
        sweep(identity.job, node=identity.node)
        if identity.node:
            return
        lock = RunLock(run.path)
        if not lock.await_free(EARLIER_LIFE_SECONDS, meanwhile=self._may_wait):
            held = Held(run.path)
            run.event(LOST, reason=held.what, attempt=identity.attempt)
            raise held
        run.forget_ending()
        run.reserve.keep()

    def _may_wait(self) -> bool:
        self._heartbeat.tick()
        return self._asked() is None

    def _tick(self) -> Verdict | None:
        self._heartbeat.tick()
        return None if self._peers is None else self._peers.trouble()

    def _asked(self) -> str | None:
        """Cancelled where the file `cancel` is there, preempted where only a signal came."""
        now, received = time.monotonic(), len(self._requests.received)
        if now >= self._cancel_due or received != self._seen:
            self._cancel_due, self._seen = now + CANCEL_SECONDS, received
            self._cancel = (self._run.path / "cancel").exists()
        if self._cancel:
            return CANCELLED
        return PREEMPTED if received else None

    def _close(self, verdict: Verdict) -> int:
        """Report to the first node; on that one, wait for the others and write the result."""
        assert self._peers is not None
        if self._identity.node or verdict.lost is not None:
            self._report(verdict)
        if self._identity.node:
            return 1 if verdict.lost or any(verdict.codes) else 0
        while self._peers.missing():
            self._tick()
            time.sleep(POLL_SECONDS)
        status, fields = ending(self._peers.join(verdict), self._run.outcome())
        if status == LOST:
            return self.lose(str(fields["reason"]))
        return self._finish(status, fields)

    def _report(self, verdict: Verdict) -> None:
        self._heartbeat.beat()
        write_report(self._run.path, self._identity.node, self._heartbeat.last, verdict)

    def _finish(self, status: str, fields: Mapping[str, Any]) -> int:
        from vqa.training.result import close_run, describe

        described = {} if "config_hash" in fields else describe(self._run.experiment())
        close_run(self._run, status, self._signed({**described, **fields}))
        self._heartbeat.beat()
        self._say(f"{status} {fields.get('error', '')}")
        return 0 if status == SUCCEEDED else 1

    def lose(self, reason: str) -> int:
        """Say, as far as that can be written, why this attempt has no result: a later one goes on."""
        self._say(f"lost: {reason}")
        with suppress(OSError):
            self._run.event(LOST, reason=reason, attempt=self._identity.attempt)
        return 1

    def _fail(self, error: str) -> int:
        """End a run that could not even be begun."""
        self._say(f"failed: {error}")
        if self._identity.node == 0:
            from vqa.training.result import close_run

            close_run(self._run, FAILED, self._signed({"error": error}))
        return 1

    def _signed(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        return {**fields, "job": self._identity.job, "attempt": self._identity.attempt}

    def _say(self, words: str) -> None:
        say(self._run.path, self._identity.node, words)


def say(run_dir: Path, node: int, words: str) -> None:
    """A line in the runner's log; on a full disk there is none."""
    line = f"{time.strftime('%Y-%m-%d %H:%M:%S')} {words.strip()}\n"
    try:
        (run_dir / "logs").mkdir(exist_ok=True)
        with (run_dir / "logs" / f"runner{node}.log").open("a", encoding="utf-8") as file:
            file.write(line)
    except OSError:
        return


def main(run_dir: str) -> int:
    """Run the job of a run directory."""
    with StopRequests() as requests:
        run = RunDirectory(Path(run_dir).absolute())
        if not run.experiment_file.exists():
            print(f"vqa: {run.path}: no run here", file=sys.stderr)
            return 2
        identity = Identity.here(run.path)
        runner = Runner(run, identity, requests)
        try:
            with runner_lock(run.path, identity.node):
                return runner.run()
        except (VQAError, OSError) as error:
            print(f"vqa: {error}", file=sys.stderr)
            return HELD if isinstance(error, Held) else runner.lose(str(error))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
