"""Logs and journals as server-sent events: resumable, told of rewinds, and over when the job is."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import anyio
import pytest
from starlette.testclient import TestClient

from tests.server.test_access import is_problem
from vqa.jobs.home import Home
from vqa.jobs.local_service import LocalService
from vqa.jobs.record import State
from vqa.jobs.views import Chunk, SubmitRequest
from vqa.server import tokens
from vqa.server.api import files
from vqa.server.api.files import follow
from vqa.server.api.runs import GrowingFile

Body = Callable[..., dict[str, Any]]


class Event(NamedTuple):
    """One server-sent event."""

    name: str
    id: int
    data: dict[str, Any]


def parse(text: str) -> list[Event]:
    """The events in a stream's text, comments left out."""
    events = []
    for block in text.strip().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if line[:1] != ":")
        if fields:
            events.append(Event(fields["event"], int(fields["id"]), json.loads(fields["data"])))
    return events


@pytest.fixture
def job(service: LocalService, request_body: Body) -> str:
    """A job that an engine has."""
    view = service.submit(SubmitRequest(**request_body()))
    assert service.queue.claim(service.queue.get(view.id))
    (service.home.run_dir(view.id) / "logs").mkdir(parents=True)
    return view.id


def finish(service: LocalService, job: str, state: State = State.SUCCEEDED) -> None:
    assert service.queue.move(service.queue.get(job), state)


def log_of(home: Home, job: str, name: str = "logs/rank0.log") -> Path:
    return home.run_dir(job) / name


def test_of_a_job_that_has_ended(
    ann: TestClient, service: LocalService, home: Home, job: str
) -> None:
    log_of(home, job).write_text("one\rtwo\nthree 🙂\nno end")
    finish(service, job)
    response = ann.get(f"/jobs/{job}/logs/rank0.log/stream")
    assert response.headers["content-type"].startswith("text/event-stream")
    first, last = parse(response.text)
    assert (first.name, first.data["text"]) == ("chunk", "one\rtwo\nthree 🙂\nno end")
    assert (last.name, last.id, last.data["ended"]) == ("end", first.id, True)
    assert "".join(event.data["text"] for event in (first, last)) == first.data["text"]
    assert first.id == log_of(home, job).stat().st_size


def test_resuming_loses_nothing_and_repeats_nothing(
    ann: TestClient, service: LocalService, home: Home, job: str
) -> None:
    log_of(home, job).write_text("one\ntwo\nthree\n")
    finish(service, job)
    path = f"/jobs/{job}/logs/rank0.log/stream"
    events = parse(ann.get(path, headers={"Last-Event-ID": "4"}).text)
    assert events[0].data["text"] == "two\nthree\n"
    assert parse(ann.get(path, params={"offset": 8}).text)[0].data["text"] == "three\n"
    both = ann.get(path, params={"offset": 0}, headers={"Last-Event-ID": "14"})
    assert [event.name for event in parse(both.text)] == ["end"]
    for wrong in ("x", "-1", "9" * 30):
        assert is_problem(ann.get(path, headers={"Last-Event-ID": wrong}), 422)


def test_what_is_not_there_is_a_404_and_no_stream(ann: TestClient, job: str) -> None:
    assert is_problem(ann.get(f"/jobs/{job}/logs/other.log/stream"), 404)
    assert is_problem(ann.get("/jobs/00000000/logs/rank0.log/stream"), 404)


def record(step: int) -> str:
    return json.dumps({"step": step, "epoch": 0, "time": 1.0}) + "\n"


def test_a_live_journal_that_is_rewound(
    service: LocalService, home: Home, job: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each event that arrives lets the run go on by one scene; nothing here waits for a time."""
    monkeypatch.setattr(files, "POLL_SECONDS", 0.01)
    journal = log_of(home, job, "metrics.jsonl")
    events = log_of(home, job, "events.jsonl")

    def grow() -> None:
        with journal.open("a") as file:
            file.write(record(3))

    def rewind() -> None:
        events.write_text(json.dumps({"event": "resumed", "step": 1, "time": 1.0}) + "\n")
        journal.write_text(record(1) + record(2)[:-1])

    def go_on() -> None:
        journal.write_text(record(1) + record(2))

    scenes = iter((grow, rewind, go_on, lambda: finish(service, job)))
    journal.write_text(record(1) + record(2))
    seen: list[tuple[str, bool, list[int]]] = []

    async def main() -> None:
        first = service.log(job, "metrics")
        async for event in follow(service, job, "metrics", first, lambda: False):
            chunk = event.data
            steps = [json.loads(line)["step"] for line in chunk.text.splitlines()]
            seen.append((str(event.event), chunk.rewound, steps))
            next(scenes, lambda: None)()

    anyio.run(main)
    assert seen == [
        ("chunk", False, [1, 2]),
        ("chunk", False, [3]),
        ("chunk", True, []),
        ("chunk", False, [2]),
        ("end", False, []),
    ]


def test_a_stream_ends_with_its_server_and_with_its_job(
    service: LocalService, job: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "POLL_SECONDS", 0.01)

    async def names(over: bool) -> list[str]:
        first = service.log(job, "rank0.log")
        stream = follow(service, job, "rank0.log", first, lambda: over)
        return [str(event.event) async for event in stream]

    assert anyio.run(names, True) == []
    monkeypatch.setattr(files, "LONGEST_SECONDS", 0.0)
    assert anyio.run(names, False) == []
    monkeypatch.setattr(files, "LONGEST_SECONDS", 60.0)
    first = service.log(job, "rank0.log")
    finish(service, job, State.FAILED)
    service.queue.remove(job)

    async def removed() -> list[str]:
        stream = follow(service, job, "rank0.log", first, lambda: False)
        return [str(event.event) async for event in stream]

    assert anyio.run(removed) == ["end"]


def test_a_stream_ends_with_its_token(
    ann: TestClient, service: LocalService, home: Home, job: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job goes on; the token is revoked as soon as the stream has begun."""
    monkeypatch.setattr(files, "POLL_SECONDS", 0.01)
    log_of(home, job).write_text("one\n")
    read, looks = LocalService.log, list[int]()

    def log(self: LocalService, *asked: Any) -> Chunk:
        chunk = read(self, *asked)
        if not chunk.text:
            looks.append(chunk.offset)
            tokens.revoke(home, "ann")  # a second time it is refused, and ends the stream
        return chunk

    monkeypatch.setattr(LocalService, "log", log)
    events = parse(ann.get(f"/jobs/{job}/logs/rank0.log/stream").text)
    assert [(event.name, event.data["text"]) for event in events] == [("chunk", "one\n")]
    assert looks == [4]
    assert is_problem(ann.get(f"/jobs/{job}/logs/rank0.log"), 401)


def test_a_log_that_grows_while_it_is_sent_whole_is_as_long_as_was_told(tmp_path: Path) -> None:
    log, sent = tmp_path / "rank0.log", list[dict[str, Any]]()
    log.write_bytes(bytes(range(256)) * 1024)
    before = log.read_bytes()

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)
        with log.open("ab") as more:
            more.write(b"one more line\n")

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    scope = {"type": "http", "method": "GET", "headers": [], "asgi": {"spec_version": "2.4"}}
    anyio.run(GrowingFile(log), scope, receive, send)
    start, *bodies = sent
    assert (b"content-length", b"%d" % len(before)) in start["headers"]
    assert b"".join(message["body"] for message in bodies) == before
    assert [message["more_body"] for message in bodies][-1] is False
