"""`serve` as a process: where it listens, what it prints, how it ends."""

from __future__ import annotations

import json
import re
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from vqa.errors import InputError
from vqa.jobs.home import Home
from vqa.jobs.local_service import LocalService
from vqa.jobs.views import SubmitRequest
from vqa.server.app import create_app
from vqa.server.guard import Hosts
from vqa.server.serve import HOST_NAME, MOST_FILES, Server, Worker, listen, serve

PROGRAM = """
import sys
from pathlib import Path
from vqa.jobs.home import Home
from vqa.server.serve import serve
serve(Home(Path(sys.argv[1])), port=0, dispatch=False)
print("ended well", file=sys.stderr)
"""


@contextmanager
def server(home: Home) -> Iterator[tuple[subprocess.Popen[str], str, str]]:
    """The process, its address, and what it said at its start."""
    words = [sys.executable, "-c", PROGRAM, str(home.path)]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr
            said = process.stderr.readline()
            found = re.search(r"http://127\.0\.0\.1:\d+", said)
            assert found, said + process.stderr.read()
            yield process, found[0], said
        finally:
            process.kill()


def connect(address: str, home: Home) -> httpx.Client:
    token = (home.path / "token").read_text().strip()
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.Client(base_url=f"{address}/api/v1", headers=headers, timeout=60, trust_env=False)


def test_from_first_start_to_term(home: Home, request_body: object) -> None:
    body = request_body()  # type: ignore[operator]
    with server(home) as (process, address, said):
        assert str(home.path / "token") in said
        assert (home.path / "token").read_text().strip() not in said
        with connect(address, home) as client:
            assert client.get("/me").json()["scope"] == "admin"
            job = client.post("/jobs", json=body).json()["id"]
            with client.stream("GET", f"/jobs/{job}/logs/rank0.log/stream") as stream:
                assert stream.status_code == 200
                process.send_signal(signal.SIGTERM)
                assert "event: end" not in "".join(stream.iter_text())
        assert process.wait(30) == 0
        assert process.stderr
        assert "ended well" in process.stderr.read()
    assert LocalService(home).show(job).job.state == "queued"


def test_what_was_acknowledged_survives_a_kill(home: Home, request_body: object) -> None:
    with server(home) as (process, address, _), connect(address, home) as client:
        jobs = [client.post("/jobs", json=request_body(k)).json()["id"] for k in range(3)]  # type: ignore[operator]
        process.kill()
        process.wait(30)
    with server(home) as (_, address, _), connect(address, home) as client:
        assert [job["id"] for job in client.get("/jobs").json()["jobs"]] == jobs[::-1]


def test_a_live_stream_over_a_socket(home: Home, request_body: object) -> None:
    service = LocalService(home, "ann")
    job = service.submit(SubmitRequest(**request_body())).id  # type: ignore[operator]
    assert service.queue.claim(service.queue.get(job))
    log = home.run_dir(job) / "logs" / "rank0.log"
    log.parent.mkdir(parents=True)
    log.write_text("one\n")
    texts: list[str] = []
    with server(home) as (_, address, _), connect(address, home) as client:
        with client.stream("GET", f"/jobs/{job}/logs/rank0.log/stream") as stream:
            for line in stream.iter_lines():
                if not line.startswith("data: "):
                    continue
                chunk = json.loads(line.removeprefix("data: "))
                texts.append(chunk["text"])
                if len(texts) == 1:
                    with log.open("a") as file:
                        file.write("two\n")
                elif len(texts) == 2:
                    from vqa.jobs.record import State

                    service.queue.move(service.queue.get(job), State.FAILED)
        assert texts == ["one\n", "two\n", ""]


def test_an_address_that_others_reach_needs_names(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"0\.0\.0\.0 is open to a network"):
        serve(Home(tmp_path / "home"), host="0.0.0.0", port=0)
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("name", ["https://vqa.example.org", "vqa.example.org/", "a b", ""])
def test_a_further_name_is_no_address(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=r"--allow-host: .* is no name of a machine — give the"):
        serve(Home(tmp_path / "home"), port=0, allow_hosts=[name])
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("name", ["vqa.example.org", "gpu_box:8000", "10.0.0.7", "[fe80::1]:80"])
def test_a_further_name_as_browsers_write_it(name: str) -> None:
    assert HOST_NAME.fullmatch(name)
    assert Hosts.of(8000, [name]).admits(name)


def test_answers_are_not_held_back() -> None:
    with listen("127.0.0.1", 0) as listener:
        assert (
            listener.proto == socket.IPPROTO_TCP
        )  # what asyncio looks at before it sets TCP_NODELAY


def test_a_client_that_vanishes_does_not_stay_connected() -> None:
    with (
        listen("127.0.0.1", 0) as listener,
        socket.create_connection(listener.getsockname()),
        listener.accept()[0] as connection,
    ):
        assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


def test_more_files_may_be_open_than_a_shell_allows(home: Home) -> None:
    here, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(here, 512), most))
    try:
        with server(home) as (process, *_):
            now, _ = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
            assert now == min(MOST_FILES, most)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (here, most))


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=f"127.0.0.1:{port}: cannot listen there"):
            serve(Home(tmp_path / "home"), port=port, dispatch=False)


def test_a_server_whose_dispatcher_fails_ends_with_its_error(home: Home) -> None:
    stop = threading.Event()

    def work(stop: threading.Event) -> None:
        time.sleep(0.1)
        raise ValueError("no dispatcher")

    with listen("127.0.0.1", 0) as listener:
        hosts = Hosts.of(listener.getsockname()[1])
        uvicorn = Server(create_app(home, hosts, stop, warm=False), stop)
        worker = Worker(work, stop, uvicorn)
        uvicorn.run(sockets=[listener])  # returns, though nobody stopped it
        worker.join()
    assert isinstance(worker.error, ValueError)
    assert stop.is_set()
