"""A line to the process that talks to a dashboard; whoever speaks into it never waits."""

from __future__ import annotations

import contextlib
import json
import math
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import vqa

Message = dict[str, Any]


class Link:
    """Starts the sender and hands it messages through a bounded queue.

    Args:
        setup: the sender's first message, with `run_dir`.
        say: takes each line that the sender has for people; called from another thread.
        capacity: messages that may wait.
        program: the module that is the sender's main program; see `vqa.tracking.listener`.
        title, folder: what people call the dashboard, and where below the run its files are.

    Raises:
        OSError: the process cannot be started, or nothing can be written below the run.
    """

    def __init__(
        self,
        setup: Message,
        say: Callable[[str], None],
        capacity: int = 20_000,
        *,
        program: str = "vqa.tracking.sender",
        title: str = "W&B",
        folder: str = "wandb",
    ) -> None:
        place = Path(setup["run_dir"]) / folder
        place.mkdir(exist_ok=True)
        self.log_file, self._title = place / "mirror.log", title
        self.opened: Message = {}
        self.done: Message | None = None
        self._say, self._said = say, False
        self._queue: queue.Queue[Message | None] = queue.Queue(capacity)
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", program],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=_environment(),
            )
        self.put(setup)
        self._threads = [
            threading.Thread(target=work, name=f"{folder}-{work.__name__}", daemon=True)
            for work in (self._write, self._read)
        ]
        for thread in self._threads:
            thread.start()

    def put(self, message: Message) -> bool:
        """Take a message, or say at once that it is lost: the line is dead or too many wait."""
        if not self.alive:
            return False
        try:
            self._queue.put_nowait(message)
        except queue.Full:
            return False
        return True

    def put_patiently(self, message: Message, seconds: float = math.inf) -> bool:
        """Wait for room, at most so long; false where there was none, or the line is dead."""
        until = time.monotonic() + seconds
        while self.alive and time.monotonic() < until:
            with contextlib.suppress(queue.Full):
                self._queue.put(message, timeout=0.5)
                return True
        return False

    @property
    def alive(self) -> bool:
        """Whether the sender still runs."""
        return self._process.poll() is None

    def close(self, seconds: float) -> bool:
        """Let the sender finish for so long, then end it; true where it finished its work."""
        deadline = time.monotonic() + seconds
        self.put_patiently({"end": True}, seconds)
        try:
            self._process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            self._tell(f"{self._title} was not done after {seconds:.0f} s and was left")
        self._hang_up()
        if self.done is None and not self._said:
            self._tell(f"{self._title}'s process ended early, see {self.log_file}")
        return self.done is not None

    def _hang_up(self) -> None:
        """End both threads; with the sender gone neither can wait for it."""
        writer, reader = self._threads
        with contextlib.suppress(queue.Full):
            self._queue.put_nowait(None)
        writer.join(5)
        reader.join(5)  # a grandchild that lives on may hold the sender's end open
        if not reader.is_alive() and self._process.stdout is not None:
            self._process.stdout.close()

    def _write(self) -> None:
        pipe = self._process.stdin
        assert pipe is not None
        with contextlib.suppress(OSError, ValueError, TypeError):
            while (message := self._queue.get()) is not None:
                pipe.write(json.dumps(message).encode() + b"\n")
                pipe.flush()
        with contextlib.suppress(OSError):
            pipe.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with contextlib.suppress(ValueError):
                self._hear(json.loads(line))

    def _hear(self, message: Message) -> None:
        if "said" in message:
            self._tell(message["said"])
        elif "opened" in message:
            self.opened = message["opened"]
        elif "done" in message:
            self.done = message["done"]

    def _tell(self, text: str) -> None:
        """One complaint is enough."""
        if not self._said:
            self._said = True
            self._say(text)


def _environment() -> dict[str, str]:
    """This process's own, with this package importable from anywhere."""
    here = str(Path(vqa.__file__).resolve().parents[1])
    paths = [path for path in (os.environ.get("PYTHONPATH"), here) if path]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


def say(message: str) -> None:
    """One line for people."""
    print(f"vqa: {message}", file=sys.stderr, flush=True)
