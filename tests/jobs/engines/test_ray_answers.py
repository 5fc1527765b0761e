"""What the `ray` engine asks for and makes of answers; needs no Ray."""

from __future__ import annotations

import os
import shlex
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.jobs.engines.tasks import script, standing
from vqa.errors import EngineError
from vqa.jobs.engines.base import Standing, Task
from vqa.jobs.engines.ray import Handle as RayHandle
from vqa.jobs.engines.ray import RayEngine, _request
from vqa.jobs.engines.ray_keeper import Plan
from vqa.jobs.record import Resources
from vqa.jobs.settings import RaySettings


class Server(HTTPServer):
    """Answers everything with one status and one text, and keeps what it was asked."""

    status, text = 200, "[]"

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[str] = []


class Handler(BaseHTTPRequestHandler):
    """See `Server`."""

    server: Server

    def do_GET(self) -> None:
        self.server.asked.append(f"{self.command} {self.path} {self.headers['Authorization']}")
        body = self.server.text.encode()
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    """A server that is no Ray."""
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def engine(server: Server, tmp_path: Path) -> RayEngine:
    """An engine that takes it for Ray."""
    (tmp_path / "token").write_text("secret\n")
    address = f"http://127.0.0.1:{server.server_port}"
    return RayEngine(RaySettings(address=address, token_file=tmp_path / "token"))


@pytest.mark.parametrize("text", [None, "", "two\nlines", "ümlaut", b"\xff\xfe"])
def test_a_token_file_that_is_none_is_named(text: str | bytes | None, tmp_path: Path) -> None:
    file = tmp_path / "token"
    if text is not None:
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(EngineError, match=r"token cannot be read: .* RAY_AUTH_MODE=token"):
        RayEngine(RaySettings(token_file=file)).standings(["x:/y"])


@pytest.mark.parametrize("status", [500, 502, 503])
def test_a_server_in_trouble_is_asked_again(
    status: int, server: Server, engine: RayEngine, tmp_path: Path
) -> None:
    server.status, server.text = status, "Traceback\nOSError: out of luck"
    assert standing(engine, "a-1:/b") is Standing.UNKNOWN
    with pytest.raises(EngineError, match=rf"Ray answered {status}: OSError: out of luck") as found:
        engine.submit(script(tmp_path, "j", ""))
    assert found.value.temporary  # the dispatcher keeps the job


def test_another_server_is_not_taken_for_ray(server: Server, engine: RayEngine) -> None:
    for server.status, server.text in ((404, "Not Found"), (200, "<html>"), (302, "elsewhere")):
        with pytest.raises(EngineError, match=r"Ray answered|no Ray job server"):
            standing(engine, "a-1:/b")


def test_the_token_is_in_a_header_and_a_handle_cannot_change_the_path(
    server: Server, engine: RayEngine
) -> None:
    server.status, server.text = 404, "Job x does not exist"
    assert standing(engine, "../a?b#c:/d") is Standing.ENDED
    assert server.asked == ["GET /api/jobs/..%2Fa%3Fb%23c Bearer secret"]


def test_what_is_asked_for(tmp_path: Path) -> None:
    run_dir = tmp_path / "it's $(hostile); x"
    one = Task("j", 2, run_dir, Resources(accelerator="gpu", devices=2, cores=8, memory_mb=3))
    handle = RayHandle(one.name, str(run_dir))
    request = _request(one, handle)
    assert request["submission_id"] == "vqa-j-2"
    asked = {key: value for key, value in request.items() if key.startswith("entrypoint_")}
    amounts = {"num_cpus": 8, "num_gpus": 2, "memory": 3 << 20}
    assert asked == {f"entrypoint_{key}": amount for key, amount in amounts.items()}
    assert request["runtime_env"] == {"env_vars": {"RAY_JOB_STOP_WAIT_TIME_S": "35"}}
    words = shlex.split(request["entrypoint"])
    assert words[:4] == ["exec", sys.executable, "-m", "vqa.jobs.engines.ray_keeper"]
    assert words[5:] == [">>", str(run_dir / "logs" / "ray.log"), "2>&1"]
    plan = Plan.from_json(words[4])
    assert (plan.command, plan.environment) == (one.command, one.environment())
    assert "CUDA_VISIBLE_DEVICES" not in plan.environment  # Ray sets it
    several = Task("j", 2, run_dir, Resources(nodes=3, cores=4))
    request = _request(several, handle)
    assert not [key for key in request if key.startswith("entrypoint_")]
    plan = Plan.from_json(shlex.split(request["entrypoint"])[4])
    assert (plan.nodes, plan.amounts) == (3, {"num_cpus": 4})


def test_a_run_directory_that_cannot_be_written_is_named(
    server: Server, engine: RayEngine, tmp_path: Path
) -> None:
    server.status, server.text = 404, "Job x does not exist"
    with pytest.raises(EngineError, match="gone: cannot write"):
        engine.submit(Task("j", 1, tmp_path / "gone", Resources()))
    with pytest.raises(EngineError, match="not UTF-8"):
        engine.submit(Task("j", 1, tmp_path / os.fsdecode(b"\xff"), Resources()))
    assert all(asked.startswith("GET") for asked in server.asked)
