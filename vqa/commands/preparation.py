"""How the store of an experiment or ablation file is made, as the file's head says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vqa.errors import InputError

COMMAND = re.compile(r"#\s+(vqa prepare .+ --to (\S+))")


@contextmanager
def preparation_of(file: Path) -> Iterator[None]:
    """Where a store is missing that the head of `file` makes, let the error name that command."""
    try:
        yield
    except InputError as error:
        command = _command(file, str(error))
        if command is None or "no prepared store here" not in str(error):
            raise
        fix = f"make one with: {command}"
        raise InputError(error.what, where=error.where, fix=fix) from None


def _command(file: Path, said: str) -> str | None:
    lines = map(COMMAND.fullmatch, file.read_text(encoding="utf-8").splitlines())
    return next((line[1] for line in lines if line and _names(said, line[2])), None)


def _names(said: str, store: str) -> bool:
    """Whether `said` is of this store, by the path as it is written or by all of it."""
    places = (re.escape(place) for place in (store, str(Path(store).resolve())))
    return re.search(rf"(?:^|\s)(?:{'|'.join(places)}): ", said) is not None
