"""Where caches stand, what is there, and whether there is room for more.

STORE/cache/            beside the tables that they were made from; they go when the store goes
VQA_HOME/cache/<store>/ where the store cannot be written
    features-<id>/      a grid of vectors a picture (rows.py)
    pictures-<id>/      decoded pictures, uint8 (rows.py)
    regions-<id>/       regions that were brought in from elsewhere (rows.py, regions.py)
    texts-<id>.safetensors, table-<id>.safetensors   words and questions as numbers (texts.py)

A cache can be deleted at any time: whoever needs it makes it again, and who is reading it reads on. Regions alone have
to be brought in again, so they are deleted only where that is asked for.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vqa.data.cache.layout import described
from vqa.data.store import Store
from vqa.data.workplace import CACHE
from vqa.errors import DataError, VQAError
from vqa.formatting import size
from vqa.outputs import FULL

DAY = 86_400
KEPT_FREE = 256_000_000
"""Bytes that are left to others on the disk."""


def folders(store: Store) -> tuple[Path, Path]:
    """Where the caches of a store may stand, the best place first."""
    home = Path(os.environ.get("VQA_HOME") or "~/.vqa").expanduser()
    return store.path / CACHE, home / CACHE / store.fingerprint[:16]


def is_there(path: Path) -> bool:
    """Whether there is such a file; none in a folder that may not be looked into."""
    try:
        return path.exists()
    except PermissionError:
        return False


def _is_open(path: Path) -> bool:
    """Whether it is a folder that may be looked into."""
    return os.access(path, os.R_OK | os.X_OK) and path.is_dir()


def _open_folders(store: Store) -> list[Path]:
    return [folder for folder in folders(store) if _is_open(folder)]


def place(store: Store, name: str) -> Path:
    """Where the cache `name` stands, or is to be made."""
    beside, home = folders(store)
    if not is_there(beside / name) and is_there(home / name):
        return home / name
    writable = beside if is_there(beside) else store.path
    return (beside if is_there(beside / name) or os.access(writable, os.W_OK) else home) / name


def workplace(store: Store, name: str) -> Path:
    """Where rows can be added to the cache `name`: at home, where one stands beside a store that cannot be written."""
    standing = place(store, name)
    return standing if can_write(standing) else folders(store)[1] / name


def can_write(folder: Path) -> bool:
    """Whether files can be made in a folder, which need not be there yet, and those in it be changed."""
    there = _standing(folder)
    if not _is_open(there):
        return False
    files = there.iterdir() if there == folder else ()
    return all(os.access(path, os.W_OK) for path in (there, *files))


def _standing(folder: Path) -> Path:
    """A folder, or the nearest one above it that is there."""
    return next(path for path in (folder, *folder.parents) if is_there(path))


@dataclass(frozen=True)
class Cached:
    """A cache that stands somewhere.

    Attributes:
        path: its file or folder.
        kind: `features`, `pictures`, `regions`, `texts` or `table`.
        bytes: what it takes of the disk.
        age: days since it was written to.
        about: what it holds, for people.
    """

    path: Path
    kind: str
    bytes: int
    age: float
    about: str

    def to_json(self) -> dict[str, Any]:
        """Plain types."""
        return asdict(self) | {"path": str(self.path), "age": round(self.age, 2)}


def cached(store: Store) -> Iterator[Cached]:
    """Every cache of a store."""
    for folder in _open_folders(store):
        for path in sorted(folder.iterdir()):
            if path.name.startswith("."):
                continue
            yield Cached(
                path=path,
                kind=path.name.split("-", 1)[0],
                bytes=taken(path),
                age=(time.time() - max(fact.st_mtime for fact in _facts(path))) / DAY,
                about=described(path) if path.is_dir() else "",
            )


def taken(path: Path) -> int:
    """What a cache takes of the disk; holes of a sparse file take nothing."""
    return sum(512 * fact.st_blocks for fact in _facts(path)) if path.exists() else 0


def _facts(path: Path) -> list[os.stat_result]:
    files = path.iterdir() if _is_open(path) else ()
    return [file.stat() for file in (path, *files)]


def prune(
    store: Store, older_than: float = 0.0, *, regions: bool = False, dry_run: bool = False
) -> list[Cached]:
    """Delete the caches that were last written more than `older_than` days ago; which they were.

    Args:
        regions: delete those, too, that cannot be made again here.
    """
    old = [
        one for one in cached(store) if one.age >= older_than and (regions or one.kind != "regions")
    ]
    for one in old if not dry_run else ():
        if one.path.is_dir():
            shutil.rmtree(one.path)
        else:
            one.path.unlink(missing_ok=True)
    if not dry_run:
        _sweep(store)
    return old


def _sweep(store: Store) -> None:
    """Delete what a death has left of a file that was being written."""
    for folder in _open_folders(store):
        for path in folder.glob(".*-*"):
            if path.is_file() and time.time() - path.stat().st_mtime > DAY:
                path.unlink(missing_ok=True)


def failure(folder: Path, error: OSError) -> VQAError:
    """A disk that fails, in this program's words."""
    if error.errno in FULL:
        fix = "free some space and start again: it goes on from there"
        return VQAError("the disk became full", where=str(folder), fix=fix)
    fix = "see to it that its files can be written, or delete it"
    return VQAError(error.strerror or str(error), where=str(folder), fix=fix)


def free_bytes(folder: Path) -> int:
    """Room on the disk of a folder that need not be there yet."""
    return shutil.disk_usage(_standing(folder)).free


def shortage(folder: Path, needed: int) -> str | None:
    """Why `needed` more bytes do not fit on the disk of `folder`; None where they do."""
    free = free_bytes(folder)
    if needed + KEPT_FREE <= free:
        return None
    return f"{size(needed)} are needed at {folder} and {size(free)} are free"


def check_room(folder: Path, needed: int) -> None:
    """Refuse to begin what the disk cannot hold.

    Raises:
        DataError: there is too little room.
    """
    reason = shortage(folder, needed)
    if reason is not None:
        raise DataError(
            f"too little room: {reason}",
            where="cache",
            fix="free some, see `vqa cache STORE`, or go without: data.features=off",
        )
