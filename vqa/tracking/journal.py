"""The journal of a run, `metrics.jsonl`: the truth that every dashboard mirrors."""

from __future__ import annotations

import errno
import json
import os
import stat
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from vqa.errors import RunError
from vqa.outputs import naming

Record = dict[str, Any]
BESIDE = frozenset({"step", "epoch", "time"})
"""What every record has beside its figures."""


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
        line = json.dumps(record).encode() + b"\n"
        with naming(Path(self._file.name)):
            if self._file.write(line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return record

    @property
    def size(self) -> int:
        """Bytes written so far; a checkpoint remembers it."""
        return os.fstat(self._file.fileno()).st_size

    def sync(self) -> None:
        """Wait until the disk has what was logged: nothing may refer to it before."""
        if self._is_regular:
            with naming(Path(self._file.name)):
                os.fsync(self._file.fileno())

    def rewind(self, size: int) -> bool:
        """Forget what came after `size` bytes: the steps between a checkpoint and a death are done again.

        Returns:
            False where the journal is shorter than that, or has no end of a record there: what is whole before it
            is kept.
        """
        if not self._is_regular:
            return True
        kept = _whole(Path(self._file.name), size)
        self._file.truncate(kept)
        return kept == size

    @property
    def _is_regular(self) -> bool:
        return stat.S_ISREG(os.fstat(self._file.fileno()).st_mode)

    def close(self) -> None:
        """Close; what was logged is on its way to the disk."""
        self._file.close()


def _whole(path: Path, size: int) -> int:
    """How many of the first `size` bytes are whole lines."""
    with path.open("rb") as file:
        file.seek(max(0, size - 1))
        if not size or file.read(1) == b"\n":
            return size
        file.seek(0)
        return file.read(size).rfind(b"\n") + 1


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


def tail(journal: Path, size: int) -> bytes:
    """The last `size` bytes of a journal, or all of a shorter one; none of one that cannot be read."""
    try:
        with journal.open("rb") as file:
            file.seek(max(0, file.seek(0, 2) - size))
            return file.read()
    except OSError:
        return b""
