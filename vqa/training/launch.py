"""Start the processes of a run that trains on several devices, and leave none behind."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

GRACE_SECONDS = 30.0
PR_SET_PDEATHSIG = 1


def is_rank() -> bool:
    """Whether this process is one of a run's ranks."""
    return "LOCAL_RANK" in os.environ


def run_ranks(run_dir: Path, devices: int, nodes: int) -> list[int]:
    """Run `python -m vqa.training.rank RUN_DIR` once a device, each logging to logs/rank<N>.log.

    TERM and INT are passed on. When one rank fails the others get TERM, then KILL.
    `NODE_RANK`, `MASTER_ADDR` and `MASTER_PORT` come from the environment where a run spans nodes.

    Returns:
        The exit codes, by local rank.
    """
    node = int(os.environ.get("NODE_RANK", "0"))
    common = {
        "WORLD_SIZE": str(devices * nodes),
        "NODE_RANK": str(node),
        "MASTER_ADDR": os.environ.get("MASTER_ADDR", "127.0.0.1"),
        "MASTER_PORT": os.environ.get("MASTER_PORT") or str(_free_port()),
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS")
        or str(max(1, (os.cpu_count() or 1) // devices)),
    }
    ranks = [
        _start(run_dir, node * devices + local, {**common, "LOCAL_RANK": str(local)})
        for local in range(devices)
    ]
    with _Forwarding(ranks):
        return _wait(ranks)


def _start(run_dir: Path, rank: int, variables: dict[str, str]) -> subprocess.Popen[bytes]:
    logs = run_dir / "logs"
    logs.mkdir(exist_ok=True)
    environment = os.environ | variables | {"RANK": str(rank)}
    command = [sys.executable, "-m", "vqa.training.rank", str(run_dir)]
    with (logs / f"rank{rank}.log").open("ab") as log:
        return subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            preexec_fn=_die_with(os.getpid()),
        )


def _die_with(parent: int) -> Callable[[], None]:
    """Have the kernel kill the child when its parent dies, however that dies (Linux)."""
    library = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None

    def prepare() -> None:
        if library is not None:
            library.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:
                os._exit(1)

    return prepare


class _Forwarding:
    """Passes TERM and INT on to the ranks while entered."""

    def __init__(self, ranks: list[subprocess.Popen[bytes]]) -> None:
        self._ranks = ranks
        self._before: dict[int, signal._HANDLER] = {}

    def __enter__(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            try:
                self._before[number] = signal.signal(number, self._forward)
            except ValueError:  # not the main thread: whoever owns it forwards
                return

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        for rank in self._ranks:
            if rank.poll() is None:
                rank.kill()

    def _forward(self, number: int, frame: FrameType | None) -> None:
        for rank in self._ranks:
            if rank.poll() is None:
                rank.send_signal(number)


def _wait(ranks: list[subprocess.Popen[bytes]]) -> list[int]:
    deadline = float("inf")
    while any(rank.poll() is None for rank in ranks):
        if deadline == float("inf") and any(rank.returncode for rank in ranks):
            deadline = time.monotonic() + GRACE_SECONDS
            for rank in ranks:
                rank.terminate()
        if time.monotonic() > deadline:
            for rank in ranks:
                rank.kill()
        time.sleep(0.05)
    return [rank.returncode for rank in ranks]


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
