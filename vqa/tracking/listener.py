"""The far end of a `Link`: a process that reads messages, hands them to a dashboard, and answers.

It reads JSON lines from its input: first what the run is, then any of `{"record": …}` (a line of the journal),
`{"samples": folder}`, `{"result": …}`, and `{"end": true}`. The end of input means the same as the last, so a
trainer that is killed leaves a finished run behind. It answers with JSON lines: `{"said": text}` for people,
`{"opened": {…}}`, and `{"done": {records}}` once everything is written or sent.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

from vqa.errors import first_line
from vqa.lifetime import die_with

Message = dict[str, Any]
Tell = Callable[[Message], None]


class Worker(Protocol):
    """What talks to a dashboard."""

    def take(self, message: Message) -> None:
        """Hand one message on."""

    def finish(self) -> None:
        """Write or send what is left, and tell that it is done."""


def listen(open_: Callable[[Message, Tell], Worker], failed: Callable[[Message, str], str]) -> int:
    """Read, send, and answer; whatever goes wrong is told in one line.

    Args:
        open_: makes the worker of the first message and of what takes its answers.
        failed: the line, of the first message and of what went wrong.
    """
    tell = _take_output()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the trainer's end of input is the end
    setup: Message = {}
    try:
        lines = _messages()
        setup = next(lines)
        if "LOCAL_RANK" in os.environ:  # whoever watches over the ranks lets nothing live on
            die_with(int(setup["pid"]))()
        worker = open_(setup, tell)
        for message in lines:
            worker.take(message)
        worker.finish()
    except Exception as error:
        tell({"said": failed(setup, reason_of(error))})
        return 1
    return 0


def reason_of(error: Exception) -> str:
    """What another program's error is and says, in one line."""
    said, kind = first_line(error), type(error).__name__
    return said if said == kind else f"{kind}: {said}"


def result_on_disk(run_dir: Path) -> Message:
    """The contents of `result.json`; empty where there is none."""
    try:
        result = json.loads((run_dir / "result.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return result if isinstance(result, dict) else {}


def _messages() -> Iterator[Message]:
    for line in sys.stdin.buffer:
        message = json.loads(line)
        if message.get("end"):
            return
        yield message


def _take_output() -> Tell:
    """Keep the answers' channel for this module; what else is printed goes where errors go."""
    channel = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def tell(message: Message) -> None:
        try:
            channel.write(json.dumps(message) + "\n")
            channel.flush()
        except OSError:
            print(message, file=sys.stderr)  # nobody listens any more

    return tell
