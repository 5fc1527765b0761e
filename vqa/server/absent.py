"""What cannot be read is not there, for who asks over HTTP: a message with names and without paths."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from vqa.errors import JobError, VQAError
from vqa.jobs.library import Library


@contextmanager
def absent(library: Library, where: str, kind: str = "not-found") -> Iterator[None]:
    """Turn any other error of ours into a `JobError` of this kind.

    Args:
        library: has the names of what messages have paths of.
        where: what was asked for.

    Raises:
        JobError: something within failed.
    """
    try:
        yield
    except JobError:
        raise
    except (VQAError, OSError) as error:
        what = error.what if isinstance(error, VQAError) else error.strerror or "unreadable"
        raise JobError(library.without_paths(what), where=where, kind=kind) from None
