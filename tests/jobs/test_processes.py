"""Finding and killing a job's processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from vqa.jobs.engines.base import JOB_VARIABLE
from vqa.jobs.processes import NODE_VARIABLE, is_alive, processes_of, start_time, sweep

SLEEP = "import time; print(flush=True); time.sleep(600)"
IN_A_SESSION_OF_ITS_OWN = (
    "import subprocess, sys; "
    f"child = subprocess.Popen([sys.executable, '-c', {SLEEP!r}], start_new_session=True, "
    "stdout=subprocess.PIPE); child.stdout.readline(); print(child.pid, flush=True)"
)
Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a process with some variables; it is up and running when this returns."""
    started: list[subprocess.Popen[str]] = []

    def call(code: str = SLEEP, **variables: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-S", "-c", code],
            env=os.environ | variables,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        if code == SLEEP:
            assert process.stdout is not None
            process.stdout.readline()
        return process

    yield call
    for process in started:
        process.kill()
        process.communicate()


def pids(job: str, node: int | None = None) -> set[int]:
    return {process.pid for process in processes_of(job, node)}


def test_processes_are_found_by_the_job_that_they_carry(start: Start, tmp_path: Path) -> None:
    job = tmp_path.name
    one = start(**{JOB_VARIABLE: job, NODE_VARIABLE: "0"})
    two = start(**{JOB_VARIABLE: job, NODE_VARIABLE: "1"})
    start(**{JOB_VARIABLE: f"{job}-other"})
    assert pids(job) == {one.pid, two.pid}
    assert pids(job, node=1) == {two.pid}
    assert pids("") == set()


def test_a_sweep_kills_what_left_its_session_and_its_parent(start: Start, tmp_path: Path) -> None:
    job = tmp_path.name
    parent = start(IN_A_SESSION_OF_ITS_OWN, **{JOB_VARIABLE: job})
    assert parent.stdout is not None
    orphan = int(parent.stdout.readline())
    parent.wait()
    begun = start_time(orphan)
    assert pids(job) == {orphan}
    assert sweep(job) == 1
    assert not is_alive(orphan, begun)
    assert sweep(job) == 0


def test_a_sweep_spares_other_nodes_and_itself(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = tmp_path.name
    other = start(**{JOB_VARIABLE: job, NODE_VARIABLE: "1"})
    code = f"from vqa.jobs.processes import sweep; print(sweep({job!r}, 0))"
    for name, value in ((JOB_VARIABLE, job), (NODE_VARIABLE, "0")):
        monkeypatch.setenv(name, value)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split()[0] == "0"
    assert other.poll() is None


def test_a_process_is_its_id_and_its_start(start: Start) -> None:
    process = start()
    begun = start_time(process.pid)
    assert begun is not None
    assert abs(begun - (psutil.Process(process.pid).create_time() - psutil.boot_time())) < 2
    assert is_alive(process.pid, begun)
    assert not is_alive(process.pid, begun - 1)
    assert not is_alive(process.pid, None)


def test_a_zombie_is_gone(start: Start, tmp_path: Path) -> None:
    job = tmp_path.name
    process = start(**{JOB_VARIABLE: job})
    begun = start_time(process.pid)
    process.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 10
    while is_alive(process.pid, begun):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert process.returncode is None, "nobody has reaped it yet"
    assert pids(job) == set()
    assert sweep(job) == 0
