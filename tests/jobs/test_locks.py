"""Who serves a home: a server before what was started on demand, and one server at a time."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.jobs.conftest import Submit
from tests.jobs.scripted import Scripted, finish, started
from vqa.errors import EngineError
from vqa.jobs import locks
from vqa.jobs.dispatcher import Dispatcher
from vqa.jobs.home import Home
from vqa.jobs.locks import Lock, given, is_held, turn
from vqa.jobs.queue import Queue
from vqa.jobs.record import State
from vqa.server import tokens

WAIT_SECONDS = 30.0
Serve = Callable[..., tuple[threading.Thread, threading.Event]]


def comes_true(what: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + WAIT_SECONDS
    while not what() and time.monotonic() < deadline:
        time.sleep(0.02)
    return what()


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Has a dispatcher serve in a thread; all are told to stop after the test."""
    begun: list[tuple[threading.Thread, threading.Event]] = []

    def begin(dispatcher: Dispatcher, **how: bool) -> tuple[threading.Thread, threading.Event]:
        stop = threading.Event()
        thread = threading.Thread(target=dispatcher.run, args=(stop,), kwargs=how)
        thread.start()
        begun.append((thread, stop))
        return begun[-1]

    yield begin
    for thread, stop in begun:
        stop.set()
        thread.join(WAIT_SECONDS)


def test_who_waits_for_a_turn_does_not_wait_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind a process that was stopped, say: each of a server's threads would be lost to it."""
    monkeypatch.setattr(locks, "PATIENCE_SECONDS", 0.0)
    halted = Lock(tmp_path / "lock")
    assert halted.take()
    with pytest.raises(EngineError, match="lock: is held too long"), turn(tmp_path / "lock"):
        pytest.fail("two are inside")
    halted.release()
    with turn(tmp_path / "lock"):
        assert not halted.take()
    assert halted.take()
    halted.release()


def test_a_lock_is_held_by_one_alone_or_shared(tmp_path: Path) -> None:
    file = tmp_path / "lock"
    one, other = Lock(file), Lock(file)
    assert not is_held(file)
    assert one.take()
    assert one.take()
    assert not other.take()
    assert not other.take(shared=True)
    assert is_held(file)
    assert is_held(file, alone=True)
    one.release()
    one.release()
    assert other.take(shared=True)
    assert one.take(shared=True)
    assert is_held(file)
    assert not is_held(file, alone=True)
    for lock in (one, other):
        lock.release()
    assert not is_held(file)


def test_a_lock_is_given_by_its_descriptor(tmp_path: Path) -> None:
    file = tmp_path / "lock"
    one = Lock(file)
    assert one.take()
    child = given(file, [str(os.dup(one.descriptor))])
    one.release()
    assert is_held(file)
    assert child.take()
    child.release()
    assert not is_held(file)
    assert given(file, []).take()


def test_a_server_relieves_a_dispatcher_that_was_started_on_demand(
    home: Home, queue: Queue, engine: Scripted, submission: Submit, serve: Serve,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Its jobs go on, and those that are to stop with the server do."""
    lock = Lock(home.dispatcher_lock)
    # By who started it: one that would take it now may meet who looks whether it is held.
    assert lock.take()
    on_demand = Dispatcher(home, lambda _: engine, lock=lock)
    job = started(queue, on_demand, submission())
    cancel = engine.cancel

    def obeys(handle: str, *, force: bool) -> None:
        cancel(handle, force=force)
        finish(home, engine, job, "preempted")

    monkeypatch.setattr(engine, "cancel", obeys)
    first, _ = serve(on_demand, until_idle=True)
    server, stop = serve(Dispatcher(home, lambda _: engine, stop_jobs=True))
    first.join(WAIT_SECONDS)
    assert not first.is_alive()
    assert queue.get(job.id).state is State.STARTING
    assert engine.cancelled == []
    assert comes_true(lambda: is_held(home.dispatcher_lock))
    stop.set()
    server.join(WAIT_SECONDS)
    assert queue.get(job.id).state is State.PREEMPTED
    assert not is_held(home.server_lock)


def test_none_serves_on_demand_beside_a_server(
    home: Home, queue: Queue, engine: Scripted, submission: Submit
) -> None:
    queue.submit(submission())
    server = Lock(home.server_lock)
    assert server.take()
    Dispatcher(home, lambda _: engine).run(threading.Event(), until_idle=True)
    assert engine.tasks == {}
    server.release()


def test_a_second_server_waits_and_says_once_that_no_jobs_stop_with_it(
    home: Home, engine: Scripted, serve: Serve, caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    caplog.set_level(logging.WARNING)
    _, stop = serve(Dispatcher(home, lambda _: engine))
    assert comes_true(lambda: is_held(home.server_lock) and is_held(home.dispatcher_lock))
    second, looks = Dispatcher(home, lambda _: engine, stop_jobs=True), threading.Semaphore(0)
    tell = second._tell_of_another
    monkeypatch.setattr(second, "_tell_of_another", lambda: (tell(), looks.release()))
    serve(second)
    for _ in range(3):
        assert looks.acquire(timeout=WAIT_SECONDS)
    assert [record.getMessage() for record in caplog.records] == [
        f"another server serves {home.path}: jobs do not stop with this one"
    ]
    served = threading.Event()
    monkeypatch.setattr(second, "step", served.set)
    stop.set()
    assert served.wait(WAIT_SECONDS)


def test_where_nothing_can_be_locked_the_file_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    home = Home(tmp_path).make()
    for take, name in (
        (Lock(home.dispatcher_lock).take, "dispatcher.lock"),
        (lambda: tokens.add(home, "ada", "read"), "tokens.lock"),
    ):
        with pytest.raises(OSError, match=f"No locks available: .*{name}"):
            take()
