"""Files that a user asked for: written whole or not at all, and an error names the file that was wanted."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
"""What the system says of a full disk or a full quota."""


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """An error of the system that names no file, or a temporary one for `path` (".NAME.…"), names `path`.

    Raises:
        OSError: what went wrong within.
    """
    try:
        yield
    except OSError as error:
        if error.filename is not None and not _is_temporary(Path(str(error.filename)), path):
            raise
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A file to write to; at the end of the block it is flushed to the disk and moved to `path`.

    A reader sees the old file or the new one, never a part; where the block raises, `path` is untouched. A device
    or a pipe is written to as it stands.

    Raises:
        OSError: it cannot be written; names `path`.
    """
    with naming(path):
        if path.exists() and not path.is_file():
            with path.open("wb") as out:
                yield out
            return
        target = path.resolve() if path.is_symlink() else path  # such as /dev/stdout
        make_folder(target.parent)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=target.parent)
        try:
            with os.fdopen(handle, "wb") as out:
                yield out
                out.flush()
                os.fsync(out.fileno())
            Path(name).chmod(0o644)
            Path(name).replace(target)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, where they are not there.

    Raises:
        OSError: naming what cannot be made, or is no folder.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder)) from None


def _is_temporary(file: Path, path: Path) -> bool:
    return any(part.startswith(f".{path.name}.") for part in file.parts)
