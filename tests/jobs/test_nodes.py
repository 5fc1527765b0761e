"""What the runners of several machines tell each other."""

from __future__ import annotations

from pathlib import Path

import pytest

from vqa.jobs import nodes
from vqa.jobs.heartbeat import Heartbeat
from vqa.jobs.nodes import Peers, write_report
from vqa.training.supervise import Verdict


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    return now


class Node:
    """Another node's runner."""

    def __init__(self, run_dir: Path, number: int, *, job: str = "job", attempt: int = 1) -> None:
        self._run_dir, self._number = run_dir, number
        self._heartbeat = Heartbeat(run_dir, job, attempt, number)

    def beat(self) -> None:
        self._heartbeat.beat()

    def report(self, verdict: Verdict) -> None:
        self.beat()
        write_report(self._run_dir, self._number, self._heartbeat.last, verdict)


def met(run_dir: Path, clock: list[float], *others: Node) -> Peers:
    """Node 0's view of the others, after it has seen their hearts beat."""
    peers = Peers(run_dir, "job", 1, 0, len(others) + 1)
    for _ in range(2):
        for other in others:
            other.beat()
        assert peers.trouble() is None
        clock[0] += 1
    return peers


def test_what_other_nodes_say_is_joined(tmp_path: Path, clock: list[float]) -> None:
    others = [Node(tmp_path, 1), Node(tmp_path, 2)]
    peers = met(tmp_path, clock, *others)
    assert peers.missing() == [1, 2]
    others[0].report(Verdict((0, 0)))
    assert peers.missing() == [2]
    assert peers.trouble() is None
    others[1].report(Verdict((0, 75), asked="preempted"))
    clock[0] += 1
    assert peers.trouble() == Verdict((0, 75), asked="preempted")
    assert peers.missing() == []
    assert peers.join(Verdict((75,))) == Verdict((75, 0, 0, 0, 75), asked="preempted")


def test_a_loss_counts_before_a_fault(tmp_path: Path, clock: list[float]) -> None:
    others = [Node(tmp_path, 1), Node(tmp_path, 2)]
    peers = met(tmp_path, clock, *others)
    others[0].report(Verdict((1,), culprit=1, error="closed by peer"))
    others[1].report(Verdict((-9,), lost="rank 2 died of SIGKILL"))
    trouble = peers.trouble()
    assert trouble is not None
    assert trouble.lost == "rank 2 died of SIGKILL"
    assert peers.join(Verdict((0,))).lost == trouble.lost


def test_bad_input_is_the_cause_of_what_follows(tmp_path: Path, clock: list[float]) -> None:
    other = Node(tmp_path, 1)
    peers = met(tmp_path, clock, other)
    other.report(Verdict((2,), culprit=1, error="no store"))
    joint = peers.join(Verdict((1,), culprit=0, error="closed by peer"))
    assert (joint.culprit, joint.error) == (1, "no store")


def test_a_heart_that_stands_still_is_a_loss(tmp_path: Path, clock: list[float]) -> None:
    other = Node(tmp_path, 1)
    peers = met(tmp_path, clock, other)
    clock[0] += nodes.STILL_SECONDS - 2
    assert peers.trouble() is None
    other.beat()
    clock[0] += 1
    assert peers.trouble() is None
    clock[0] += nodes.STILL_SECONDS + 1
    assert peers.trouble() == Verdict((), lost="node 1: its runner is gone")
    assert peers.missing() == []
    assert peers.join(Verdict((1,))).lost == "node 1: its runner is gone"


def test_who_has_not_come_yet_is_waited_for_while_ranks_run_and_missed_after(
    tmp_path: Path, clock: list[float]
) -> None:
    peers = Peers(tmp_path, "job", 1, 0, 2)
    clock[0] += 3600
    assert peers.trouble() is None
    assert peers.missing() == []
    assert peers.join(Verdict((0,))).lost is not None


def test_an_earlier_life_of_the_same_attempt_is_not_believed(
    tmp_path: Path, clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An engine that requeues by itself starts the same attempt again."""
    Node(tmp_path, 1).report(Verdict((-9,), lost="of an earlier life"))
    peers = Peers(tmp_path, "job", 1, 0, 2)
    for _ in range(3):
        assert peers.trouble() is None
        assert peers.missing() == [1]
        clock[0] += 1
    monkeypatch.setattr("vqa.jobs.heartbeat.start_time", lambda _: 4711.0)
    now = Node(tmp_path, 1)
    now.beat()
    assert peers.trouble() is None
    now.report(Verdict((0,)))
    clock[0] += 1
    assert peers.trouble() is None
    assert peers.missing() == []
    assert peers.join(Verdict((0,))) == Verdict((0, 0))


@pytest.mark.parametrize("other", [{"job": "another"}, {"attempt": 2}])
def test_another_jobs_or_attempts_files_say_nothing(
    other: dict[str, object], tmp_path: Path, clock: list[float]
) -> None:
    stranger = Node(tmp_path, 1, **other)  # type: ignore[arg-type]
    peers = met(tmp_path, clock, stranger)
    stranger.report(Verdict((-9,), lost="elsewhere"))
    clock[0] += 1
    assert peers.trouble() is None
    assert peers.missing() == [1]


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"codes": [1]}'])
def test_what_is_no_report_says_nothing(text: str, tmp_path: Path, clock: list[float]) -> None:
    peers = met(tmp_path, clock, Node(tmp_path, 1))
    (tmp_path / "nodes").mkdir()
    (tmp_path / "nodes" / "1.json").write_text(text)
    assert peers.trouble() is None
    assert peers.missing() == [1]
