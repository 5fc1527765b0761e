"""Jobs and runs as people name them: by the beginning of an id."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from vqa.formatting import plain

if TYPE_CHECKING:
    from vqa.jobs.service import Service

FULL = r"[0-9a-f]{8}"
SHOWN = 5
ENOUGH = 4
"""Digits of an id that may stand for a run directory: fewer are too easily a mistyped path."""
AN_ID = rf"[0-9a-f]{{{ENOUGH},8}}"


def find_job(service: Service, word: str) -> str:
    """The id that `word` is, or begins.

    Raises:
        JobError: no job's id begins so, or several do.
    """
    from vqa.errors import JobError
    from vqa.jobs.record import Filter

    if re.fullmatch(FULL, word):
        return word
    found = []
    if re.fullmatch(r"[0-9a-f]{1,7}", word):
        found = service.jobs(Filter(prefix=word), limit=SHOWN + 1).jobs
    if not found:
        shown = plain(word, 60)
        raise JobError(f"no job {shown!r}", fix="see `vqa jobs`", kind="not-found")
    if len(found) > 1:
        some = ", ".join(job.id for job in found[:SHOWN]) + (", …" if len(found) > SHOWN else "")
        raise JobError(f"{word!r} begins several jobs: {some}", fix="write more of the id")
    return found[0].id


def find_group(service: Service, name: str) -> str:
    """The group of that name.

    Raises:
        JobError: there is none.
    """
    from vqa.errors import JobError
    from vqa.jobs.record import Filter
    from vqa.names import LONGEST_NAME, NAME_PATTERN

    named = re.fullmatch(NAME_PATTERN, name) and len(name) <= LONGEST_NAME
    if not (named and service.jobs(Filter(group=name), limit=1).jobs):
        fix = "see `vqa jobs`"
        raise JobError(f"no group {plain(name, 60)!r}", fix=fix, kind="not-found")
    return name


def own_run(word: str) -> Path:
    """A run directory on this machine, as `run_path` finds it.

    Raises:
        JobError: it is a job's of another machine's service, or see `run_path`.
    """
    from vqa.errors import JobError
    from vqa.jobs.connect import server

    path, away = run_path(word), server()
    if away and not path.exists() and re.fullmatch(AN_ID, word):
        fix = f"a job's run is used where it lies, on {away}"
        raise JobError(f"no run {word!r} on this machine", fix=fix, kind="not-found")
    return path


def run_path(word: str) -> Path:
    """A run directory: a path, or a job's id (or its beginning) where there is no such path.

    Raises:
        JobError: several jobs' ids begin so.
    """
    path = Path(word)
    if path.exists() or not re.fullmatch(AN_ID, word):
        return path
    from vqa.errors import JobError
    from vqa.jobs.home import Home

    found = sorted(Home.here().runs.glob(f"{word}*"))
    if len(found) > 1:
        some = ", ".join(run.name for run in found[:SHOWN])
        raise JobError(f"{word!r} begins several jobs: {some}", fix="write more of the id")
    return found[0] if found else path
