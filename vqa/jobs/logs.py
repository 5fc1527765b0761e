"""Reading the growing text files of a run: logs, journal, events."""

from __future__ import annotations

import codecs
import json
import re
from pathlib import Path

from vqa.errors import JobError
from vqa.jobs.progress import last_start
from vqa.jobs.views import Chunk

CHUNK_BYTES = 262_144
JOURNAL = "metrics"
RECORDS = {JOURNAL: "metrics.jsonl", "events": "events.jsonl"}
EXPECTED = re.compile(r"(rank|runner)(0|[1-9]\d{0,6})\.log")
"""Logs of a process and of a node, which need not have begun to write them."""


def log_files(run_dir: Path) -> dict[str, Path]:
    """The log files of a run by name; links are left out."""
    try:
        found = {path.name: path for path in sorted((run_dir / "logs").iterdir())}
    except OSError:
        return {}
    return {name: path for name, path in found.items() if path.is_file() and not path.is_symlink()}


def read_log(
    run_dir: Path, name: str, offset: int, *, ended: bool, processes: int = 1, nodes: int = 1
) -> Chunk:
    """What a file holds from `offset` on, at most `CHUNK_BYTES`.

    Args:
        name: one of `log_files`, `metrics` or `events`. It is looked for and never made part of a path.
        offset: in bytes; a negative one counts from the end, from the next line on.
        ended: nothing writes any more, so that an unfinished last line is given too.
        processes, nodes: of the run; a log of each is expected, though there may be none yet.

    Raises:
        JobError: there is no such log (`not-found`).
    """
    files = log_files(run_dir)
    known = files | {name: run_dir / file for name, file in RECORDS.items()}
    if name not in known:
        counts = {"rank": processes, "runner": nodes}
        found = EXPECTED.fullmatch(name)
        if found and int(found[2]) < counts[found[1]]:
            return Chunk(text="", offset=max(0, offset), ended=ended)
        others = [file for file in files if not EXPECTED.fullmatch(file)]
        names = ", ".join([*(_numbered(*one) for one in counts.items()), *others, *RECORDS])
        raise JobError(f"no log {name!r}", fix=f"there are {names}", kind="not-found")
    try:
        return _read(known[name], run_dir if name == JOURNAL else None, offset, ended)
    except FileNotFoundError:
        return Chunk(text="", offset=0, rewound=offset > 0, ended=ended)


def _numbered(kind: str, count: int) -> str:
    """`rank0.log`, or `rank0.log to rank7.log`."""
    return f"{kind}0.log" + (f" to {kind}{count - 1}.log" if count > 1 else "")


def _read(path: Path, journal_of: Path | None, offset: int, ended: bool) -> Chunk:
    with path.open("rb") as file:
        size = file.seek(0, 2)
        rewound = offset > size
        if rewound:
            offset = 0 if journal_of is None else _cut(path, journal_of)
        elif offset < 0:
            offset = _next_line(path, max(0, size + offset))
        file.seek(offset)
        data = file.read(CHUNK_BYTES)
    text, used = _whole_lines(data, last=ended and len(data) < CHUNK_BYTES)
    at_end = offset + used >= size
    return Chunk(text=text, offset=offset + used, rewound=rewound, ended=ended and at_end)


def _whole_lines(data: bytes, *, last: bool) -> tuple[str, int]:
    """The text up to the last line's end, and its bytes; a line longer than a chunk comes in pieces."""
    if last:
        return data.decode(errors="replace"), len(data)
    end = data.rfind(b"\n") + 1
    if end or len(data) < CHUNK_BYTES:
        return data[:end].decode(errors="replace"), end
    return codecs.utf_8_decode(data, "replace", False)


def _next_line(path: Path, start: int) -> int:
    """The beginning of the first line at or after `start`."""
    if start == 0:
        return 0
    with path.open("rb") as file:
        file.seek(start - 1)
        skipped = file.readline(CHUNK_BYTES)
    return start - 1 + len(skipped)


def _cut(journal: Path, run_dir: Path) -> int:
    """Where a resumed run took its journal up again: behind the last record up to the step that it resumed at."""
    step, offset = last_start(run_dir).get("step", 0), 0
    with journal.open("rb") as lines:
        for line in lines:
            try:
                if json.loads(line)["step"] > step:
                    break
            except (ValueError, KeyError, TypeError):
                break
            offset += len(line)
    return offset
