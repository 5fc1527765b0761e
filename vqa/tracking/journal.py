"""The journal of a run, `metrics.jsonl`: the truth that every dashboard mirrors."""

from __future__ import annotations

import json
import os
import stat
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from vqa.errors import RunError

Record = dict[str, Any]


class Journal:
    """Appends one JSON object a logged step; each is in the kernel's hands before `log` returns."""

    def __init__(self, path: Path | str) -> None:
        self._file = open(path, "ab", buffering=0)  # noqa: SIM115, PTH123 - closed by `close`; may be os.devnull

    @classmethod
    def nowhere(cls) -> Journal:
        """The journal of a process that writes none."""
        return cls(os.devnull)

    def log(self, step: int, epoch: int, values: Mapping[str, float]) -> Record:
        """Append a record and return it."""
        record = {"step": step, "epoch": epoch, "time": round(time.time(), 3), **values}
        self._file.write(json.dumps(record).encode() + b"\n")
        return record

    @property
    def size(self) -> int:
        """Bytes written so far; a checkpoint remembers it."""
        return os.fstat(self._file.fileno()).st_size

    def rewind(self, size: int) -> None:
        """Forget what came after `size` bytes: the steps between a checkpoint and a death are done again.

        Raises:
            RunError: the journal is shorter than that.
        """
        if not stat.S_ISREG(os.fstat(self._file.fileno()).st_mode):
            return
        if self.size < size:
            raise RunError(
                "the journal is shorter than its checkpoint says", where=str(self._file.name)
            )
        self._file.truncate(size)

    def close(self) -> None:
        """Close; what was logged is on its way to the disk."""
        self._file.close()


def read_journal(path: Path) -> Iterator[Record]:
    """Every complete record; a last line that a death cut off is left out.

    Raises:
        RunError: another line is no record.
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return
    for number, line in enumerate(lines[:-1], 1):
        try:
            yield json.loads(line)
        except ValueError as error:
            raise RunError(f"not a record ({error})", where=f"{path}:{number}") from None
