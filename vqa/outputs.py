"""Files that a user asked for, written whole or not at all; errors name the file that was wanted. Hashes of files."""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import IO

from vqa.errors import chain

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
"""What the system says of a full disk or a full quota."""
FAILING = FULL | {errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM}
"""What it says where the machine is at fault, and not what was asked of it."""


def is_failing(error: BaseException) -> bool:
    """Whether an error, or what it came of, is the machine's fault."""
    return any(isinstance(one, OSError) and one.errno in FAILING for one in chain(error))


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

    A reader sees the old file or the new one, never a part; where the block raises, `path` is untouched, and its
    mode is kept. A device or a pipe is written to as it stands, and so is the file that this program's own output
    goes to: /dev/stdout.

    Raises:
        OSError: it cannot be written; names `path`.
    """
    with naming(path):
        output = _own_output(path)
        if output is not None:
            sys.stdout.flush()
            with os.fdopen(os.dup(output), "wb") as out:
                yield out
        elif path.exists() and not path.is_file():
            with path.open("wb") as out:
                yield out
        else:
            target = path.resolve() if path.is_symlink() else path
            make_folder(target.parent)
            with exchanged(target) as out:
                yield out


@contextmanager
def exchanged(path: Path, *, durably: bool = True, private: bool = False) -> Iterator[IO[bytes]]:
    """A new file beside `path`, which takes its place and its mode at the end of the block.

    Args:
        durably: it is on the disk before.
        private: nobody else may read it at any time, whatever mode `path` has.

    Raises:
        OSError: it cannot be written; names `path`.
    """
    # No number of a process: those of two containers may be the same.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    opener = partial(os.open, mode=0o600) if private else None
    try:
        with naming(path):
            with open(temporary, "xb", opener=opener) as out:
                yield out
                if durably:
                    out.flush()
                    os.fsync(out.fileno())
            if not private:
                with suppress(FileNotFoundError):
                    temporary.chmod(stat.S_IMODE(path.stat().st_mode))
            temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _own_output(path: Path) -> int | None:
    """The number of this process's output that `path` names; None where it names another file."""
    for number in (1, 2):
        try:
            if os.path.samestat(path.stat(), os.fstat(number)):
                return number
        except OSError:
            continue
    return None


def sync(path: Path) -> None:
    """Have a file on the disk, or what is called how in a folder.

    Raises:
        OSError: it cannot be done; names `path`.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        with naming(path):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_all(folder: Path) -> None:
    """Have a folder on the disk with all its files, before it gets its name.

    Raises:
        OSError: see `sync`.
    """
    for path in [*folder.rglob("*"), folder]:
        sync(path)


def sha256_of(file: Path) -> str:
    """The hash of a file's contents, in hexadecimal.

    Raises:
        OSError: it cannot be read.
    """
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


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
