"""How far a run has come: read from its journal, events and heartbeat, whoever runs it and wherever."""

from __future__ import annotations

import json
import mmap
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from vqa.jobs.views import Progress
from vqa.tracking.journal import tail

TAIL_BYTES = 65_536
"""Enough for the last record of each kind."""
WARNINGS_SHOWN = 100
SPEED = "train/questions_per_second"
ACCURACY = b'"val/accuracy": '
NUMBER = re.compile(rb"(-?[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?)[,}]")
Record = dict[str, Any]


def read_progress(run_dir: Path, *, ended: bool = False) -> Progress:
    """What a run directory says now; an empty one says nothing.

    Args:
        ended: the run will not go on, so what its result says of it holds.
    """
    journal = run_dir / "metrics.jsonl"
    records = list(_records(tail(journal, TAIL_BYTES)))
    last = records[-1] if records else {}
    began = last_start(run_dir)
    speed = _speed_of_all(run_dir) if ended else None
    try:
        return Progress(
            step=last.get("step", began.get("step", 0)),
            steps=began.get("steps"),
            epoch=last.get("epoch"),
            loss=_newest(records, "train/loss"),
            best=_best(journal),
            questions_per_second=_newest(records, SPEED) if speed is None else speed,
            seconds_left=_seconds_left(began, last),
            heartbeat_age=_heartbeat_age(run_dir),
        )
    except ValidationError:  # something else wrote there
        return Progress()


def read_overall(run_dir: Path) -> float | None:
    """The score in `result.json`; None where there is none."""
    return overall_of(read_result(run_dir))


def read_result(run_dir: Path) -> Record:
    """What `result.json` says; empty where it cannot be read."""
    return _read_json(run_dir / "result.json")


def overall_of(result: Record) -> float | None:
    """The score in a result, 0 to 100; None where it has none, or something else in its place."""
    overall = result.get("overall")
    if not isinstance(overall, int | float) or isinstance(overall, bool):
        return None
    return overall if 0 <= overall <= 100 else None


def _speed_of_all(run_dir: Path) -> float | None:
    """Over the whole training, as comparisons show it; the journal has that of each stretch."""
    training = read_result(run_dir).get("training")
    speed = training.get("questions_per_second") if isinstance(training, dict) else None
    return speed if isinstance(speed, int | float) else None


def read_warnings(run_dir: Path) -> list[str]:
    """What a run said about itself and its restarts, oldest first."""
    said = []
    for event in events_of(run_dir):
        if event.get("event") == "warning":
            said.append(str(event.get("message")))
        elif event.get("event") == "lost":
            said.append(f"lost: {event.get('reason')}")
    return said[-WARNINGS_SHOWN:]


def last_start(run_dir: Path) -> Record:
    """The last event of the kinds `started` and `resumed`; empty where there is none."""
    starts = [e for e in events_of(run_dir) if e.get("event") in ("started", "resumed")]
    return starts[-1] if starts else {}


def events_of(run_dir: Path) -> Iterator[Record]:
    """The events of a run, as far as they can be read, in order."""
    try:
        yield from _records((run_dir / "events.jsonl").read_bytes())
    except OSError:
        return


def _records(text: bytes) -> Iterator[Record]:
    """The complete records among lines; the first and the last may be cut."""
    for line in text.split(b"\n"):
        try:
            record = json.loads(line, parse_constant=lambda _: None)  # NaN: no figure
        except ValueError:
            continue
        if isinstance(record, dict):
            yield record


def _newest(records: list[Record], name: str) -> float | None:
    return next((r[name] for r in reversed(records) if name in r), None)


def _best(journal: Path) -> float | None:
    """Over the whole journal: the best validation may be long ago. Nothing else of it is looked at."""
    try:
        with (
            journal.open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text,
        ):
            return max(_accuracies(text), default=None)
    except (OSError, ValueError):  # none yet, or an empty one
        return None


def _accuracies(text: mmap.mmap) -> Iterator[float]:
    at = text.find(ACCURACY)
    while at >= 0:
        at += len(ACCURACY)
        if (found := NUMBER.match(text, at)) is not None:
            yield float(found.group(1))
        at = text.find(ACCURACY, at)


def _seconds_left(began: Record, last: Record) -> float | None:
    """As long as the rest takes at the mean speed since this life of the run began."""
    try:
        done, seconds = last["step"] - began["step"], last["time"] - began["time"]
        rest = began["steps"] - last["step"]
    except (KeyError, TypeError):
        return None
    return max(0.0, rest * seconds / done) if done > 0 and seconds > 0 else None


def _heartbeat_age(run_dir: Path) -> float | None:
    written = _read_json(run_dir / "heartbeats" / "0.json").get("time")
    return max(0.0, time.time() - written) if isinstance(written, int | float) else None


def _read_json(file: Path) -> Record:
    try:
        fields = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return fields if isinstance(fields, dict) else {}
