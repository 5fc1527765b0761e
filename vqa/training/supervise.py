"""Watch over the ranks of a run on this machine, and say how it ended.

One mechanism for `vqa train` with several devices and for `vqa.jobs.runner`. How a rank ended is its exit code: 0
done, `STOPPED` asked to stop and in order, another one its own fault, negative a signal. What rank 0 says of the
run is its outcome; it is the run's end only where every other process agrees that it can be.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from vqa.training.directory import CANCELLED, FAILED, PREEMPTED, SUCCEEDED
from vqa.training.launch import Rank, kill_all

STOPPED = 75
POLL_SECONDS = 0.05
FAULT_SECONDS = 0.5
"""How long the other ranks may go on after one failed, to say what they know."""
LINGER_SECONDS = 30.0
"""How long the others may go on after the first rank ended."""
SIGNAL_SECONDS = 0.5
"""A rank that died of TERM or INT before its parent was asked to stop may have met a signal for both."""
LOST = "lost"


@dataclass(frozen=True)
class Verdict:
    """How the ranks of one machine ended.

    Attributes:
        codes: exit codes by local rank.
        asked: what the run was asked to become: preempted, cancelled, or None.
        lost: why the run cannot be believed to have ended; None where it can.
        culprit: the first rank that failed by its own fault.
        error: what that one said.
    """

    codes: tuple[int, ...]
    asked: str | None = None
    lost: str | None = None
    culprit: int | None = None
    error: str | None = None

    @property
    def killed(self) -> bool:
        """Whether a rank ended by a signal."""
        return any(code < 0 for code in self.codes)

    @property
    def stopped(self) -> bool:
        """Whether a rank was asked to stop and did, in order."""
        return STOPPED in self.codes


class Watch:
    """Waits for ranks, passes a request to stop on, and kills what must not go on.

    Args:
        ranks: of this machine.
        asked: what the run is asked to become now.
        elsewhere: how another machine's ranks ended, where that ends these; called at every look.
        grace: seconds between asking the ranks to stop and killing them.
    """

    def __init__(
        self,
        ranks: list[Rank],
        asked: Callable[[], str | None],
        elsewhere: Callable[[], Verdict | None],
        grace: float,
    ) -> None:
        self._ranks, self._grace = ranks, grace
        self._ask, self._look_elsewhere = asked, elsewhere
        self._asked: str | None = None
        self._lost: str | None = None
        self._fault: Rank | None = None
        self._deadline = self._benefit = float("inf")
        self._killing = False

    def wait(self) -> Verdict:
        """Until every rank is gone, whatever happens here."""
        try:
            while any(rank.code is None for rank in self._ranks):
                self._look()
                time.sleep(POLL_SECONDS)
            while self._look():
                time.sleep(POLL_SECONDS)
        finally:
            kill_all(self._ranks)
        codes, fault = tuple(rank.code or 0 for rank in self._ranks), self._fault
        if fault is None:
            return Verdict(codes, self._asked, self._lost)
        return Verdict(codes, self._asked, self._lost, fault.number, _error_of(fault))

    def _look(self) -> bool:
        """Whether another look may change the verdict though all ranks have ended."""
        self._pass_on(self._ask())
        elsewhere = self._look_elsewhere()
        self._judge()
        if elsewhere is not None:
            self._follow(elsewhere)
        if self._lost is not None or time.monotonic() > self._deadline:
            self._kill()
        return self._lost is None and self._benefit != float("inf")

    def _pass_on(self, asked: str | None) -> None:
        if asked is None or self._asked == asked:
            return
        if self._asked is None:
            for rank in self._ranks:
                rank.signal(signal.SIGTERM)  # what it was for is for the parent to say
            self._limit(self._grace)
        self._asked = asked

    def _judge(self) -> None:
        """Look at the ranks that have ended of themselves."""
        if self._killing or self._asked:
            self._benefit = float("inf")
            return
        ended = [rank for rank in self._ranks if rank.code is not None]
        for rank in ended:
            assert rank.code is not None
            if rank.code < 0:
                self._mourn(rank)
        failed = [rank for rank in ended if (rank.code or 0) > 0 and rank.code != STOPPED]
        if failed and self._fault is None:
            self._fault = min(failed, key=lambda rank: rank.spoke)  # the others fail by its end
            self._limit(FAULT_SECONDS)
        if self._ranks[0] in ended and self._deadline == float("inf"):
            self._limit(LINGER_SECONDS)

    def _follow(self, elsewhere: Verdict) -> None:
        """Ranks that wait for others in vain may do so for long."""
        if elsewhere.lost is not None and not self._asked:
            self._lost = self._lost or elsewhere.lost
        elif self._deadline == float("inf"):
            self._limit(FAULT_SECONDS if elsewhere.error else self._grace)

    def _mourn(self, rank: Rank) -> None:
        """A signal that was not sent from here: the run is lost, unless a request to stop is on its way."""
        now, number = time.monotonic(), -(rank.code or 0)
        if number in (signal.SIGTERM, signal.SIGINT):
            self._benefit = min(self._benefit, now + SIGNAL_SECONDS)
            if now < self._benefit:
                return
        self._lost = self._lost or f"rank {rank.number} died of {signal.Signals(number).name}"

    def _limit(self, seconds: float) -> None:
        self._deadline = min(self._deadline, time.monotonic() + seconds)

    def _kill(self) -> None:
        self._killing = True
        for rank in self._ranks:
            rank.signal(signal.SIGKILL)


def ending(verdict: Verdict, outcome: Mapping[str, Any] | None) -> tuple[str, Mapping[str, Any]]:
    """How a run ended, and what is known of it, from its ranks' ends and from what rank 0 said.

    A result that is complete stands, whatever came after. Who was asked to stop has stopped, unless it failed
    before by itself.
    """
    said = dict(outcome or {})
    status = said.get("status")
    if verdict.lost is not None:
        return LOST, {"reason": verdict.lost}
    if status == SUCCEEDED:
        return SUCCEEDED, said
    failed = status == FAILED or (outcome is None and verdict.error is not None)
    if failed and not verdict.stopped and not (verdict.asked and verdict.killed):
        return FAILED, {**said, "error": _cause(verdict, said)}
    if verdict.asked or verdict.stopped:
        kept = said if status in (PREEMPTED, CANCELLED) else {}
        return verdict.asked or str(kept.get("status", PREEMPTED)), kept
    return FAILED, {"error": f"the ranks ended with codes {list(verdict.codes)} and said nothing"}


def _cause(verdict: Verdict, said: Mapping[str, Any]) -> str:
    """The word of the rank that failed first: the others fail because it is gone."""
    own = said.get("error")
    return str(own if own and verdict.culprit in (0, None) else verdict.error)


def _error_of(rank: Rank) -> str:
    words = rank.last_words()
    return words or f"rank {rank.number} ended with code {rank.code} and said nothing"
