"""Stores that were uploaded: who did, when, and how one goes again."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from itertools import islice
from pathlib import Path

from pydantic import ValidationError

from vqa.errors import JobError, VQAError
from vqa.jobs.home import Home
from vqa.jobs.queue import Queue
from vqa.jobs.record import ACTIVE, WAITING, Filter
from vqa.jobs.views import Name, StoreView, View

RECORD = "uploaded.json"
DOOMED = ".deleting-"
WORK = ".upload-"
"""Beside the stores: one that is being made, and the name of the folder that it is made of."""


class Uploaded(View):
    """`STORE/uploaded.json`: who sent it and when (Unix time)."""

    user: Name
    time: float


def uploaded(store: Path) -> Uploaded | None:
    """Who uploaded a store; None where it was prepared on this machine."""
    try:
        return Uploaded.model_validate_json((store / RECORD).read_bytes())
    except (OSError, ValueError, ValidationError):
        return None


def store_view(name: str, path: Path) -> StoreView | None:
    """What a store's manifest says, and who uploaded it; None where it cannot be read."""
    from vqa.data.store import Store

    try:
        manifest, owner = Store.open(path).manifest, uploaded(path)
        return StoreView(
            name=name,
            source=manifest.source,
            splits=manifest.splits,
            images=manifest.images,
            text_only=manifest.text_only,
            fingerprint=manifest.fingerprint,
            uploaded_by=owner.user if owner else None,
            uploaded=owner.time if owner else None,
        )
    except (VQAError, ValidationError):
        return None


def size_of(store: Path) -> int:
    """Bytes of a store's own files, without what is kept beside them."""
    return sum(file.stat().st_size for file in store.iterdir() if file.is_file())


def stores_of(home: Home, user: str) -> Iterator[Path]:
    """The stores that a user has uploaded."""
    for store in home.stores.iterdir():
        owner = uploaded(store)
        if owner is not None and owner.user == user:
            yield store


def bytes_of(home: Home, user: str) -> int:
    """What the stores that a user has uploaded take."""
    total = 0
    for store in stores_of(home, user):
        with suppress(FileNotFoundError):  # it is being deleted
            total += size_of(store)
    return total


def delete(home: Home, queue: Queue, name: str, user: str, *, any_owner: bool) -> int:
    """Delete an uploaded store, with all that is kept beside it; how many bytes that freed.

    Args:
        any_owner: also somebody else's.

    Raises:
        JobError: there is none, it is somebody else's or was not uploaded, or a job needs it.
    """
    # A name is never made part of a path.
    found = {path.name: path for path in home.stores.iterdir()}
    store = found.get(name)
    if store is None or not (store / "store.json").is_file():
        fix = "see `vqa list stores`"
        raise JobError(f"no store {name!r} was uploaded", fix=fix, kind="not-found")
    owner = uploaded(store)
    if owner is None or store.is_symlink():
        fix = "whoever has an account on the server's machine removes it there"
        raise JobError("was prepared here, not uploaded", where=name, fix=fix, kind="forbidden")
    if owner.user != user and not any_owner:
        fix = "ask them, or use an admin's token"
        raise JobError(f"is {owner.user}'s", where=name, fix=fix, kind="forbidden")
    needing = _jobs_with(queue, store)
    if needing:
        fix = "wait until they have ended, or cancel them"
        raise JobError(f"is needed by {', '.join(needing)}", where=name, fix=fix, kind="conflict")
    freed = sum(file.stat().st_size for file in store.rglob("*") if file.is_file())
    remove(set_aside(store))
    return freed


def set_aside(folder: Path) -> Path:
    """Rename what is to be deleted: half of it must not pass for the whole."""
    doomed = folder.with_name(f"{DOOMED}{folder.name}.{time.monotonic_ns()}")
    folder.rename(doomed)
    return doomed


def remove(folder: Path) -> None:
    """Delete a folder that was set aside."""
    shutil.rmtree(folder, ignore_errors=True)


def _jobs_with(queue: Queue, store: Path) -> list[str]:
    """The newest jobs that have not ended and learn from a store, three at most."""
    place = store.resolve()

    @cache
    def stands_there(path: str) -> bool:
        return Path(path).resolve() == place

    jobs = queue.each(Filter(states=(*WAITING, *ACTIVE)))
    stores = ((job.id, str(job.submission.experiment["data"]["store"])) for job in jobs)
    return list(islice((job for job, path in stores if stands_there(path)), 3))
