"""What the runners of one job on several machines tell each other, by files in the run directory."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from vqa.jobs.heartbeat import Beat, read_beat
from vqa.training.disk import write_atomic
from vqa.training.supervise import Verdict

LOOK_SECONDS = 0.5
STILL_SECONDS = 10.0
"""A runner whose heartbeat stands still for so long is gone."""


@dataclass(frozen=True)
class Report:
    """How the ranks of a node ended, in `nodes/<node>.json`.

    Attributes:
        job, attempt, host, pid, start_time: of the runner that says so.
        codes, lost, asked, culprit, error: see `Verdict`.
    """

    job: str
    attempt: int
    host: str
    pid: int
    start_time: float
    codes: list[int]
    lost: str | None
    asked: str | None
    culprit: int | None
    error: str | None

    @property
    def verdict(self) -> Verdict:
        """The same as the runner's own."""
        return Verdict(tuple(self.codes), self.asked, self.lost, self.culprit, self.error)


def write_report(run_dir: Path, node: int, beat: Beat, verdict: Verdict) -> None:
    """Tell the other runners how this node's ranks ended."""
    report = Report(
        **{key: getattr(beat, key) for key in ("job", "attempt", "host", "pid", "start_time")},
        **{**asdict(verdict), "codes": list(verdict.codes)},
    )
    folder = run_dir / "nodes"
    folder.mkdir(exist_ok=True)
    write_atomic(folder / f"{node}.json", json.dumps(asdict(report)) + "\n")


class Peer:
    """Another node's runner, as seen from here.

    Only a life whose heartbeat moved while somebody looked is believed: an earlier one may have left its files.
    """

    def __init__(self, run_dir: Path, job: str, attempt: int, node: int) -> None:
        self.node, self._run_dir, self._life = node, run_dir, (job, attempt)
        self._beat: Beat | None = None
        self._met: tuple[str, int, float] | None = None
        self._moved = time.monotonic()

    def look(self) -> None:
        """Read its heartbeat."""
        beat = read_beat(self._run_dir, self.node)
        if beat is None or (beat.job, beat.attempt) != self._life or beat == self._beat:
            return
        if self._beat is not None:
            self._met = _process(beat)
        self._beat, self._moved = beat, time.monotonic()

    @property
    def report(self) -> Report | None:
        """How its ranks ended; None before they did."""
        try:
            text = (self._run_dir / "nodes" / f"{self.node}.json").read_text(encoding="utf-8")
            report = Report(**json.loads(text))
        except (OSError, ValueError, TypeError):
            return None
        return report if _process(report) == self._met else None

    def trouble(self) -> Verdict | None:
        """Look, and return its end where that was no success."""
        self.look()
        report = self.report
        if report is not None:
            return report.verdict if report.lost or any(report.codes) else None
        return self.vanished if self._met is not None and self.stood_still else None

    @property
    def vanished(self) -> Verdict:
        """The end of a runner that says nothing any more."""
        return Verdict((), lost=f"node {self.node}: its runner is gone")

    @property
    def stood_still(self) -> bool:
        """Whether it has not been heard of for too long."""
        return time.monotonic() - self._moved > STILL_SECONDS


class Peers:
    """The other runners of a job.

    Args:
        nodes: how many machines the job has, this one counted.
        node: this one's number.
    """

    def __init__(self, run_dir: Path, job: str, attempt: int, node: int, nodes: int) -> None:
        self._peers = [Peer(run_dir, job, attempt, n) for n in range(nodes) if n != node]
        self._due = 0.0
        self._trouble: Verdict | None = None

    def trouble(self) -> Verdict | None:
        """The end of another node that ends the job, a loss before others; None while all goes well."""
        if time.monotonic() >= self._due:
            self._due = time.monotonic() + LOOK_SECONDS
            ends = [end for peer in self._peers if (end := peer.trouble()) is not None]
            self._trouble = next((end for end in ends if end.lost), ends[0] if ends else None)
        return self._trouble

    def missing(self) -> list[int]:
        """Nodes that have not reported yet and may still do so."""
        return [peer.node for peer in self._peers if peer.report is None and not peer.stood_still]

    def join(self, own: Verdict) -> Verdict:
        """One verdict over all nodes."""
        verdicts = [own]
        for peer in self._peers:
            report = peer.report
            verdicts.append(peer.vanished if report is None else report.verdict)
        blamed = [one for one in _by_code(verdicts) if one.error is not None]
        culprit, error = (blamed[0].culprit, blamed[0].error) if blamed else (None, None)
        return Verdict(
            codes=tuple(code for one in verdicts for code in one.codes),
            asked=_first(one.asked for one in verdicts),
            lost=_first(one.lost for one in verdicts),
            culprit=culprit,
            error=error,
        )


def _by_code(verdicts: list[Verdict]) -> list[Verdict]:
    """Bad input (2) first: who fails because another one is gone ends with 1."""
    return sorted(verdicts, key=lambda one: 2 not in one.codes)


def _first(values: Iterable[str | None]) -> str | None:
    return next((value for value in values if value is not None), None)


def _process(one: Beat | Report) -> tuple[str, int, float]:
    return one.host, one.pid, one.start_time
