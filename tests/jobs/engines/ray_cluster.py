"""A real Ray cluster on this machine: a head with a token, further nodes, and nothing left of it afterwards."""

from __future__ import annotations

import importlib.util
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from tests.jobs.engines.tasks import until
from vqa.jobs.engines.ray import RayEngine
from vqa.jobs.home import RaySettings

ROOT = Path(__file__).resolve().parents[3]
MARK = "VQA_TEST_RAY"
PORTS = ("dashboard-agent-listen-port", "dashboard-agent-grpc-port", "metrics-export-port")


class RayCluster:
    """One head and its nodes, each a `ray start --block`, found again by a variable that all their processes carry."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="ray", dir="/tmp"))  # sockets need short paths
        self.mark = secrets.token_hex(8)
        self.token_file = self.folder / "token"
        self.token_file.write_text(secrets.token_hex(32))
        self.port, self.dashboard = free_ports(2)

    @property
    def settings(self) -> RaySettings:
        """How a service reaches it."""
        return RaySettings(
            address=f"http://127.0.0.1:{self.dashboard}", token_file=self.token_file
        )

    def ask(self, method: str, path: str) -> httpx.Response:
        """One request of somebody else's."""
        headers = {"Authorization": f"Bearer {self.token_file.read_text()}"}
        url = self.settings.address + path
        return httpx.request(method, url, headers=headers, timeout=30, trust_env=False)

    def start(self, **variables: str) -> None:
        """Start the head and wait until it takes jobs."""
        own = (
            *("--head", f"--port={self.port}", "--num-cpus=2"),
            f"--ray-client-server-port={free_ports(1)[0]}",
            *("--include-dashboard=true", "--dashboard-host=127.0.0.1"),
            *(f"--dashboard-port={self.dashboard}", f"--temp-dir={self.folder / 't'}"),
        )
        head = self._start(own, variables)
        until(lambda: self._answers() or not head.is_running())
        assert head.is_running(), (self.folder / "log").read_text()

    def add_node(self) -> psutil.Process:
        """Start one more node of one CPU, and wait until it is there."""
        before = len(self._nodes())
        node = self._start((f"--address=127.0.0.1:{self.port}", "--num-cpus=1"), {})
        until(lambda: len(self._nodes()) > before)
        return node

    def processes(self, *words: str) -> list[psutil.Process]:
        """Its living processes whose command line has all the words."""
        found = []
        for process in psutil.process_iter():
            try:
                command = " ".join(process.cmdline())
                if (
                    process.status() != psutil.STATUS_ZOMBIE
                    and process.environ().get(MARK) == self.mark
                    and all(word in command for word in words)
                ):
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def kill(self) -> None:
        """End every process of it at once, as when the machine that it is on dies."""
        while processes := self.processes():
            for process in processes:
                try:
                    process.kill()
                except psutil.NoSuchProcess:
                    continue
            psutil.wait_procs(processes, timeout=5)

    def remove(self) -> None:
        """End it and remove its files."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _start(self, options: tuple[str, ...], variables: dict[str, str]) -> psutil.Process:
        ports = zip(PORTS, free_ports(len(PORTS)), strict=True)
        with (self.folder / "log").open("ab") as log:
            return psutil.Popen(
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

    def _variables(self) -> dict[str, str]:
        return {
            MARK: self.mark,
            "PYTHONPATH": str(ROOT),
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(self.token_file),
            "RAY_USAGE_STATS_ENABLED": "0",
        }

    def _answers(self) -> bool:
        try:
            return self.ask("GET", "/api/jobs/").status_code == 200 and bool(self._nodes())
        except httpx.TransportError:
            return False

    def _nodes(self) -> list[object]:
        answer = self.ask("GET", "/api/v0/nodes")
        result = answer.json()["data"]["result"]["result"] if answer.status_code == 200 else []
        return [node for node in result if node["state"] == "ALIVE"]


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
    """A cluster of one node with two CPUs."""
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
