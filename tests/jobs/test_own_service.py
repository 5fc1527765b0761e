"""A dispatcher is started where there is work, and only where none runs."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from unittest.mock import Mock

import psutil
import pytest

from vqa.jobs.home import Home
from vqa.jobs.locks import is_held
from vqa.jobs.own_service import OwnService, ensure_dispatcher
from vqa.jobs.queue import Queue
from vqa.jobs.record import Filter, Submission

LOOKS = 4


def dispatchers(home: Home) -> list[psutil.Process]:
    """Living dispatchers of this home."""
    found = []
    for process in psutil.process_iter():
        try:
            mine = process.environ().get("VQA_HOME") == str(home.path)
            if mine and "vqa.jobs.dispatcher" in process.cmdline():
                found.append(process)
        except psutil.Error:
            continue
    return found


def gone(home: Home, seconds: float = 60.0) -> bool:
    """None at several looks: one that has just been started does not show its environment yet."""
    deadline, empty = time.monotonic() + seconds, 0
    while empty < LOOKS and time.monotonic() < deadline:
        empty = 0 if dispatchers(home) else empty + 1
        time.sleep(0.05)
    return empty == LOOKS


def reap() -> None:
    """Children that ended: this process lives on, unlike a command."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return


def test_one_is_started_in_a_session_of_its_own_and_ends_with_the_work(home: Home) -> None:
    Queue(home.queue_file).close()
    assert ensure_dispatcher(home)
    started = dispatchers(home)
    assert len(started) <= 1  # it may have found nothing to do already
    for process in started:
        assert os.getsid(process.pid) == process.pid != os.getsid(0)
    assert gone(home)
    reap()
    assert home.dispatcher_log.stat().st_mode & 0o077 == 0
    assert "Traceback" not in home.dispatcher_log.read_text()


def test_none_is_started_while_the_lock_is_held(home: Home) -> None:
    with home.dispatcher_lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert not ensure_dispatcher(home)
        assert not dispatchers(home)
        assert not home.dispatcher_log.exists()


def test_of_many_calls_one_alone_starts_one(home: Home) -> None:
    """However long it takes to load: it holds the lock from its birth."""
    Queue(home.queue_file).close()
    assert [ensure_dispatcher(home) for _ in range(5)] == [True] + [False] * 4
    assert gone(home)
    reap()
    assert ensure_dispatcher(home)
    assert gone(home)
    reap()


def test_one_is_started_by_a_process_without_standard_streams(home: Home) -> None:
    """The lock's descriptor is then one of theirs."""
    code = (
        "import os; from vqa.jobs.own_service import ensure_dispatcher; from vqa.jobs.home import Home;"
        "home = Home.here(); os.closerange(0, 3);"
        "os._exit([ensure_dispatcher(home) for _ in range(2)] != [True, False])"
    )
    environment = {**os.environ, "VQA_HOME": str(home.path)}
    Queue(home.queue_file).close()
    assert (
        subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0
    )
    assert gone(home)
    assert home.dispatcher_log.read_text() == ""
    assert not is_held(home.dispatcher_lock)


def test_a_dispatcher_that_cannot_be_started_holds_nothing(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vqa.jobs.own_service.sys.executable", str(home.path / "none"))
    with pytest.raises(FileNotFoundError):
        ensure_dispatcher(home)
    assert not is_held(home.dispatcher_lock)


def test_looking_leaves_the_lock_free(home: Home) -> None:
    ensure_dispatcher(home)
    assert gone(home)
    reap()
    with home.dispatcher_lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_file_where_somebody_submits_is_no_module(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trap = tmp_path / "elsewhere"
    trap.mkdir()
    (trap / "logging.py").write_text("import pathlib; pathlib.Path('sprung').touch()\n")
    monkeypatch.chdir(trap)
    ensure_dispatcher(home)
    assert gone(home)
    reap()
    assert not (trap / "sprung").exists()


def test_the_dispatcher_obeys_signals_that_its_starter_ignored(home: Home, tmp_path: Path) -> None:
    """A shell starts background commands with INT ignored, and children inherit that."""
    report = tmp_path / "ignored"
    code = (
        "import signal, vqa.jobs.own_service as demand; from pathlib import Path;"
        "from vqa.jobs.home import Home;"
        "signal.signal(signal.SIGINT, signal.SIG_IGN);"
        f"demand.sys.executable = {str(tmp_path / 'spy')!r};"
        "demand.ensure_dispatcher(Home.here())"
    )
    spy = tmp_path / "spy"
    spy.write_text(
        f"#!/bin/sh\ngrep SigIgn /proc/$$/status > {report}.new; mv {report}.new {report}\n"
    )
    spy.chmod(0o755)
    environment = {**os.environ, "VQA_HOME": str(home.path)}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    deadline = time.monotonic() + 20
    while not report.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    ignored = int(report.read_text().split()[1], 16)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        assert not ignored >> (number - 1) & 1


@pytest.mark.parametrize(("may_write", "asked"), [(True, 1), (False, 0)])
def test_a_home_that_cannot_be_written_is_looked_at_and_left_alone(
    may_write: bool,
    asked: int,
    home: Home,
    queue: Queue,
    submission: Callable[..., Submission],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    queue.submit(submission())
    started = Mock()
    monkeypatch.setattr("vqa.jobs.own_service.ensure_dispatcher", started)
    monkeypatch.setattr("vqa.jobs.own_service.os.access", lambda *_: may_write)
    assert len(OwnService(home).jobs(Filter()).jobs) == 1
    assert started.call_count == asked
