"""Tasks that run a few lines of Python in place of the runner, and waiting for what engines say of them."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

from vqa.jobs.engines.base import JOB_VARIABLE, Engine, Standing, Task
from vqa.jobs.record import Resources

PATIENCE = 120.0

UNTIL_STOP = """
open('lives' + os.environ.get('NODE_RANK', ''), 'a').write(os.environ['VQA_JOB_ATTEMPT'] + '\\n')
while not os.path.exists('stop'): time.sleep(0.05)
"""
TAKES_ITS_TIME = """
node = os.environ.get('NODE_RANK', '')
def stop(*_):
    open('asked' + node, 'a').write('x')
    time.sleep(2)
    open('stopped' + node, 'w')
    sys.exit(1)
signal.signal(signal.SIGTERM, stop)
open('lives' + node, 'w')
while True: time.sleep(0.05)
"""


@dataclass(frozen=True)
class Script(Task):
    """A task whose command is a script; it runs in the run directory and may `from pathlib import Path`."""

    script: str = ""

    @property
    def command(self) -> list[str]:
        """Python with the script."""
        opening = f"import os, signal, sys, time; os.chdir({str(self.run_dir)!r});"
        return [sys.executable, "-c", f"{opening}\n{self.script}"]


Make = Callable[..., Script]


def script(folder: Path, job: str, text: str, attempt: int = 1, **resources: int) -> Script:
    """A task in a fresh run directory, with quotes and blanks in its path."""
    run_dir = folder / f'run of {job}\'s $(touch pwned) "x"'
    (run_dir / "logs").mkdir(parents=True, exist_ok=True)
    return Script(job, attempt, run_dir, Resources(**resources), grace_seconds=20, script=text)


def until(condition: Callable[[], bool], seconds: float = PATIENCE) -> None:
    """Wait for a condition, and fail where it does not come."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.05)


def lives(task: Script, node: str = "") -> list[str]:
    """The attempt's number, once for each time that the task was started."""
    file = task.run_dir / f"lives{node}"
    return file.read_text().splitlines() if file.exists() else []


def standing(engine: Engine, handle: str) -> Standing:
    """What the engine says of one handle."""
    return engine.standings([handle])[handle]


def wait_for(engine: Engine, handle: str, wanted: Standing) -> None:
    """Wait for a standing."""
    until(lambda: standing(engine, handle) is wanted)


def living(job: str) -> list[int]:
    """Processes of a job, found as an outsider would."""
    found = []
    for process in psutil.process_iter():
        try:
            if (
                process.status() != psutil.STATUS_ZOMBIE
                and process.environ().get(JOB_VARIABLE) == job
            ):
                found.append(process.pid)
        except psutil.Error:
            continue
    return found
