"""A real Ray cluster on this machine: a head with a token, further nodes, and nothing left of it afterwards."""

from __future__ import annotations

import importlib.util
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import psutil
import pytest

from tests.jobs.engines.tasks import PATIENCE, until
from vqa.jobs.engines.ray import RayEngine
from vqa.jobs.settings import RaySettings

ROOT = Path(__file__).resolve().parents[3]
MARK, NODE = "VQA_TEST_RAY", "VQA_TEST_RAY_NODE"
PORTS = ("dashboard-agent-listen-port", "dashboard-agent-grpc-port", "metrics-export-port")

Wanted = Callable[[str, dict[str, str]], bool]


class RayCluster:
    """One head and its nodes, each a `ray start --block`, found again by a variable that all their processes carry."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="ray", dir="/tmp"))  # sockets need short paths
        self.mark = secrets.token_hex(8)
        self.token_file = self.folder / "token"
        self.token_file.write_text(secrets.token_hex(32))
        self.port, self.dashboard = free_ports(2)
        self._started: list[subprocess.Popen[bytes]] = []

    @property
    def settings(self) -> RaySettings:
        """How a service reaches it."""
        return RaySettings(address=f"http://127.0.0.1:{self.dashboard}", token_file=self.token_file)

    def ask(self, method: str, path: str) -> httpx.Response:
        """One request of somebody else's."""
        headers = {"Authorization": f"Bearer {self.token_file.read_text()}"}
        url = self.settings.address + path
        return httpx.request(method, url, headers=headers, timeout=30, trust_env=False)

    def start(self, **variables: str) -> None:
        """Start the head and wait until it takes jobs."""
        own = (
            *("--head", f"--port={self.port}", "--num-cpus=2", "--num-gpus=1"),
            f"--ray-client-server-port={free_ports(1)[0]}",
            *("--include-dashboard=true", "--dashboard-host=127.0.0.1"),
            *(f"--dashboard-port={self.dashboard}", f"--temp-dir={self.folder / 't'}"),
        )
        head = self._start(own, variables)
        until(lambda: self._answers() or head.poll() is not None)
        assert head.poll() is None, (self.folder / "log").read_text()

    @contextmanager
    def node(self, name: str) -> Iterator[None]:
        """One more node of one CPU, whose processes carry its name, while entered.

        It is gone only when Ray has seen that: until then jobs may be sent to it, and wait.
        """
        before = self._nodes()
        self._start((f"--address=127.0.0.1:{self.port}", "--num-cpus=1"), {NODE: name})
        until(lambda: bool(self._nodes() - before))
        try:
            yield
        finally:
            self.crash(name)
            until(lambda: self._nodes() <= before, 2 * PATIENCE)

    def processes(self, wanted: Wanted) -> list[psutil.Process]:
        """Its living processes of which command line and variables are wanted."""
        found = []
        for process in psutil.process_iter():
            try:
                command, variables = " ".join(process.cmdline()), process.environ()
                alive = process.status() != psutil.STATUS_ZOMBIE
                if alive and variables.get(MARK) == self.mark and wanted(command, variables):
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def kill(self, wanted: Wanted) -> None:
        """Kill what is wanted until nothing of it is left."""
        while processes := self.processes(wanted):
            for process in processes:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            psutil.wait_procs(processes, timeout=5)

    def crash(self, node: str | None = None) -> None:
        """Kill Ray itself, on one node or on all, and nothing that it had started for a job."""
        jobs = ("ray_keeper", "while kill", "os.chdir", "sleep")
        self.kill(
            lambda command, variables: (
                node in (None, variables.get(NODE)) and not any(word in command for word in jobs)
            )
        )

    def remove(self) -> None:
        """End it and remove its files."""
        self.kill(lambda *_: True)
        for started in self._started:
            started.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _start(
        self, options: tuple[str, ...], variables: dict[str, str]
    ) -> subprocess.Popen[bytes]:
        ports = zip(PORTS, free_ports(len(PORTS)), strict=True)
        with (self.folder / "log").open("ab") as log:
            started = subprocess.Popen(
                [
                    *(str(Path(sys.executable).with_name("ray")), "start", "--block"),
                    *("--node-ip-address=127.0.0.1", "--object-store-memory=80000000"),
                    *(f"--{name}={port}" for name, port in ports),
                    *options,
                ],
                env={**os.environ, **self._variables(), **variables},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self._started.append(started)
        return started

    def _variables(self) -> dict[str, str]:
        return {
            MARK: self.mark,
            "PYTHONPATH": str(ROOT),
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(self.token_file),
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_health_check_initial_delay_ms": "500",  # a node that is gone is missed in seconds
            "RAY_health_check_period_ms": "500",
        }

    def _answers(self) -> bool:
        try:
            return self.ask("GET", "/api/jobs/").status_code == 200 and bool(self._nodes())
        except httpx.TransportError:
            return False

    def _nodes(self) -> set[str]:
        """The ids of those that Ray holds for alive."""
        answer = self.ask("GET", "/api/v0/nodes")
        listed = answer.json()["data"]["result"]["result"] if answer.status_code == 200 else []
        return {node["node_id"] for node in listed if node["state"] == "ALIVE"}


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now, all different."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[RayCluster]:
    """A cluster of one node with two CPUs and, as far as Ray is told, a GPU."""
    if sys.platform != "linux" or importlib.util.find_spec("ray") is None:
        pytest.skip("Ray is not installed: pip install 'vqa-service[ray]'")
    cluster = RayCluster()
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.remove()


@pytest.fixture
def make_ray_engine(ray_cluster: RayCluster) -> Callable[[], RayEngine]:
    """Makes an engine as a program that was just started would."""
    return lambda: RayEngine(ray_cluster.settings)
