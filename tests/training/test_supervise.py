"""Watching over processes, here small ones of the shell, and what is made of their ends."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from vqa.training.directory import CANCELLED, PREEMPTED
from vqa.training.launch import Rank
from vqa.training.supervise import LOST, STOPPED, Verdict, Watch, ending

HANGS = "exec sleep 600"
STOPS = f"trap 'kill $!; exit {STOPPED}' TERM; sleep 600 & echo up; wait"
IGNORES = "trap '' TERM INT; echo up; exec sleep 600"
Ranks = Callable[..., list[Rank]]


@pytest.fixture
def ranks(tmp_path: Path) -> Iterator[Ranks]:
    """Starts ranks that run shell scripts."""
    started: list[Rank] = []

    def start(*scripts: str) -> list[Rank]:
        for number, script in enumerate(scripts):
            log = tmp_path / f"{number}.log"
            log.write_text("of an earlier life\n")
            with log.open("ab") as file:
                process = subprocess.Popen(["sh", "-c", script], stdout=file, stderr=file)
            started.append(Rank(number, process, log, len("of an earlier life\n")))
        for rank, script in zip(started, scripts, strict=True):
            while "echo up" in script and "up" not in rank.log.read_text():
                time.sleep(0.01)
        return started

    yield start
    for rank in started:
        rank.process.kill()
        rank.process.wait()


def watch(
    ranks: list[Rank],
    asked: Callable[[], str | None] = lambda: None,
    elsewhere: Callable[[], Verdict | None] = lambda: None,
    grace: float = 60.0,
) -> Verdict:
    return Watch(ranks, asked, elsewhere, grace).wait()


def test_ranks_that_end_well(ranks: Ranks) -> None:
    assert watch(ranks("exit 0", "sleep 0.1")) == Verdict((0, 0))


def test_the_first_fault_ends_all_and_is_told(ranks: Ranks) -> None:
    verdict = watch(ranks(HANGS, "echo 1; echo 2; echo 'vqa: no store'; exit 2"))
    assert verdict == Verdict((-9, 2), culprit=1, error="no store")


def test_of_faults_that_are_seen_at_once_the_first_word_counts(ranks: Ranks) -> None:
    started = ranks("echo 'vqa: rank 1 is gone'; exit 1", "echo 'vqa: the loss is nan'; exit 1")
    for rank, spoke in zip(started, (2000, 1000), strict=True):
        rank.process.wait()
        os.utime(rank.log, (spoke, spoke))
    assert watch(started) == Verdict((1, 1), culprit=1, error="the loss is nan")


def test_a_fault_of_another_kind_is_told_by_its_last_lines(ranks: Ranks) -> None:
    script = "seq 20; exit 1"
    assert watch(ranks(script)).error == "16\n17\n18\n19\n20"


def test_a_silent_fault_is_told_too(ranks: Ranks) -> None:
    assert watch(ranks("exit 3")).error == "rank 0 ended with code 3 and said nothing"


@pytest.mark.parametrize("name", ["KILL", "SEGV", "TERM"])
def test_a_signal_from_elsewhere_makes_a_run_lost(name: str, ranks: Ranks) -> None:
    verdict = watch(ranks(HANGS, f"kill -{name} $$", "sleep 0.2; echo closed by peer; exit 1"))
    assert verdict.lost == f"rank 1 died of SIG{name}"
    assert verdict.codes[0] == -9


def test_a_signal_that_the_engine_sent_to_everyone_is_a_request(ranks: Ranks) -> None:
    """Slurm signals every process of a step at once: a rank may die of it before its parent has looked."""
    begun = time.monotonic()
    asked = lambda: PREEMPTED if time.monotonic() > begun + 0.2 else None  # noqa: E731
    verdict = watch(ranks("kill -TERM $$"), asked)
    assert verdict == Verdict((-15,), asked=PREEMPTED)


def test_a_request_is_passed_on_and_waited_for(ranks: Ranks) -> None:
    assert watch(ranks(STOPS, STOPS), lambda: PREEMPTED) == Verdict((75, 75), asked=PREEMPTED)


def test_the_last_word_on_what_a_request_was_for_counts(ranks: Ranks) -> None:
    words = iter([PREEMPTED])
    assert watch(ranks(STOPS), lambda: next(words, CANCELLED)) == Verdict((75,), asked=CANCELLED)


def test_who_stumbles_over_a_request_has_not_failed(ranks: Ranks) -> None:
    script = STOPS.replace("exit 75", "exit 1")
    verdict = watch(ranks(script), lambda: CANCELLED)
    assert verdict == Verdict((1,), asked=CANCELLED)
    assert ending(verdict, None) == ("cancelled", {})
    assert ending(verdict, {"status": "failed", "error": "disk full"})[0] == "failed"


def test_who_does_not_stop_is_killed(ranks: Ranks) -> None:
    verdict = watch(ranks(IGNORES, STOPS), lambda: PREEMPTED, grace=0.3)
    assert verdict == Verdict((-9, 75), asked=PREEMPTED)


def test_trouble_elsewhere_ends_all(ranks: Ranks) -> None:
    gone = Verdict((), lost="node 1: gone")
    verdict = watch(ranks(HANGS, HANGS), elsewhere=lambda: gone)
    assert verdict == Verdict((-9, -9), lost="node 1: gone")


@pytest.mark.parametrize(
    "end", [Verdict((2,), None, None, 2, "no store"), Verdict((-15,), asked=PREEMPTED)]
)
def test_who_waits_for_another_machine_in_vain_is_killed(end: Verdict, ranks: Ranks) -> None:
    """Not lost: what the other machine says is how the run ended."""
    assert watch(ranks(HANGS), elsewhere=lambda: end, grace=0.2) == Verdict((-9,))


def test_nothing_is_left_where_watching_fails(ranks: Ranks) -> None:
    def broken() -> Verdict | None:
        raise ZeroDivisionError

    started = ranks(HANGS, IGNORES)
    with pytest.raises(ZeroDivisionError):
        watch(started, elsewhere=broken)
    assert [rank.code for rank in started] == [-signal.SIGKILL] * 2


SAID = {"status": "failed", "error": "closed by peer"}
DONE = {"status": "succeeded", "overall": 1.0}


@pytest.mark.parametrize(
    ("verdict", "outcome", "expected"),
    [
        (Verdict((0,)), DONE, ("succeeded", DONE)),
        (Verdict((0, -9), asked=PREEMPTED), DONE, ("succeeded", DONE)),
        (Verdict((0, -9), lost="rank 1"), DONE, (LOST, {"reason": "rank 1"})),
        (Verdict((1, -9), lost="rank 1"), SAID, (LOST, {"reason": "rank 1"})),
        (Verdict((1,), culprit=0, error="x"), SAID, ("failed", SAID)),
        (
            Verdict((1, 2), culprit=1, error="no store"),
            SAID,
            ("failed", {**SAID, "error": "no store"}),
        ),
        (Verdict((2,), culprit=0, error="no store"), None, ("failed", {"error": "no store"})),
        (Verdict((2,), PREEMPTED, None, 0, "no store"), None, ("failed", {"error": "no store"})),
        (Verdict((1, -15), PREEMPTED, None, 0, "closed by peer"), SAID, ("preempted", {})),
        (Verdict((1, 75), culprit=0, error="closed by peer"), SAID, ("preempted", {})),
        (Verdict((-15,), asked=CANCELLED), None, ("cancelled", {})),
        (Verdict((), asked=CANCELLED), None, ("cancelled", {})),
        (
            Verdict((75,), asked=CANCELLED),
            {"status": "preempted", "split": None},
            ("cancelled", {"status": "preempted", "split": None}),
        ),
        (Verdict((75,)), {"status": "preempted"}, ("preempted", {"status": "preempted"})),
    ],
)
def test_what_is_made_of_it(verdict: Verdict, outcome: Any, expected: Any) -> None:
    assert ending(verdict, outcome) == expected


def test_ranks_that_say_nothing_have_failed() -> None:
    status, fields = ending(Verdict((0, 0)), None)
    assert status == "failed"
    assert "said nothing" in fields["error"]
