"""Processes end at once, and nothing of what they owe is lost."""

from __future__ import annotations

import os
import subprocess
import sys

OWED = """
import atexit, sys, threading, time
from vqa.lifetime import Ending

class Freed:
    def __del__(self):
        print("freed", flush=True)

def work():
    time.sleep(0.2)
    print("thread")

kept = Freed()
ending = Ending()
atexit.register(print, "registered")
threading.Thread(target=work).start()
print("printed")
"""


def ended(code: str, before: str = OWED) -> subprocess.CompletedProcess[str]:
    """A process that ran `code`, its output a pipe."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return subprocess.run(
        [sys.executable, "-c", before + code], capture_output=True, text=True, check=False, env=kept
    )


def test_threads_hooks_and_output_come_first_and_nothing_is_freed() -> None:
    done = ended("sys.exit(ending.at(3))")
    assert (done.returncode, done.stderr) == (3, "")
    assert done.stdout.split() == ["printed", "thread", "registered"]


def test_an_exception_ends_a_process_as_ever() -> None:
    done = ended("ending.at(1 // 0)")
    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stderr
    assert done.stdout.split() == ["printed", "thread", "registered", "freed"]


def test_output_that_finds_no_room_is_told_of() -> None:
    code = "import sys; from vqa.lifetime import Ending; sys.stdout = open('/dev/full', 'w'); "
    done = ended("ending = Ending(); print('lost'); ending.at(0)", code)
    assert done.returncode == 120
    assert "No space left" in done.stderr
