"""Writing to a disk that may fill up: atomic files, a reserve for a run's last words, and saying so."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from vqa.errors import chain
from vqa.outputs import FULL, exchanged, sync

RESERVE_BYTES = 256 * 1024


class Reserve:
    """A file that holds room in a run directory, given up when a small write that matters finds no other.

    Args:
        folder: the run directory.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / ".reserve"

    def keep(self) -> None:
        """Take the room, where the file system can promise it and there is enough."""
        try:
            descriptor = os.open(self._file, os.O_WRONLY | os.O_CREAT, 0o644)
        except OSError:
            return
        try:
            os.posix_fallocate(descriptor, 0, RESERVE_BYTES)
        except OSError:
            self._file.unlink(missing_ok=True)
        finally:
            os.close(descriptor)

    def use(self, write: Callable[[], None]) -> None:
        """Write; once more without the reserve where the disk is full.

        Raises:
            OSError: it is full all the same.
        """
        try:
            write()
        except OSError as error:
            if error.errno not in FULL:
                raise
            self._file.unlink(missing_ok=True)
            write()


def is_disk_full(error: BaseException) -> bool:
    """Whether an error, or what it came of, is a full disk (or a full quota)."""
    return any(
        (isinstance(one, OSError) and one.errno in FULL) or _says_full(str(one))
        for one in chain(error)
    )


def disk_full_message(folder: Path) -> str:
    """What a run says that ended so."""
    return (
        f"{folder}: disk full — free some space there, then resume: the run goes on from its newest "
        "checkpoint, which is intact"
    )


def _says_full(text: str) -> bool:
    return any(os.strerror(number) in text for number in FULL)


def write_atomic(path: Path, text: str) -> None:
    """Replace `path` by `text` in one step that survives a power cut."""
    replace_text(path, text, durably=True)
    sync(path.parent)


def replace_text(path: Path, text: str, *, durably: bool = False) -> None:
    """Replace `path` by `text` in one step: a reader finds the old or the new."""
    with exchanged(path, durably=durably) as file:
        file.write(text.encode())
