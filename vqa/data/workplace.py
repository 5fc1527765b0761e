"""Where a store is made: a hidden folder beside its place, of which a death leaves nothing for good."""

from __future__ import annotations

import fcntl
import glob
import shutil
import tempfile
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO

from vqa.data.manifest import read_manifest
from vqa.errors import DataError

CACHE = "cache"
"""The folder of what is kept of a store, see `cache/place.py`."""
LOCK, NEW, OLD = "lock", "new", "old"


class Workplace:
    """The folder `.NAME.XXXXXXXX` beside a store's place: `new` is what is being made, `old` what it replaces.

    It is locked while somebody works in it, so that what a killed process left is known: whoever next makes a store of
    that name puts an old one back that has no successor, and removes the rest. Where files cannot be locked nothing
    is removed.

    Args:
        path: the store's place.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._made = [folder for folder in path.parents if not folder.exists()]
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._sweep()
            self._folder = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
        except OSError:
            self._remove_made()
            raise
        self._lock = _locked(self._folder)
        self.new = self._folder / NEW

    def move(self) -> None:
        """Put what was made in its place; what stood there goes only then, and what is kept of it only where its
        content was another."""
        old = self._folder / OLD
        if self._path.exists():
            self._path.rename(old)
        try:
            self.new.rename(self._path)
        except OSError:
            if old.exists():
                old.rename(self._path)
            raise
        _hand_on(old, self._path)

    def close(self) -> None:
        """Remove whatever is not the finished store."""
        _remove(self._folder)
        if self._lock is not None:
            self._lock.close()
        self._remove_made()

    def _remove_made(self) -> None:
        for folder in self._made:
            with suppress(OSError):  # it holds the store
                folder.rmdir()

    def _sweep(self) -> None:
        """Clear up after deaths."""
        suffix = "?" * 8  # of `tempfile`
        for left in self._path.parent.glob(f".{glob.escape(self._path.name)}.{suffix}/{LOCK}"):
            with suppress(OSError), left.open("a") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self._settle(left.parent)

    def _settle(self, folder: Path) -> None:
        """Bring to its end what a death broke off."""
        old = folder / OLD
        if old.exists() and not self._path.exists():
            old.rename(self._path)
        _hand_on(old, self._path)
        _remove(folder)


def _locked(folder: Path) -> IO[str] | None:
    """The lock of a new folder, which is held before anybody can find it; None where files cannot be locked."""
    made = folder / f".{LOCK}"
    with ExitStack() as undo:
        try:
            lock = undo.enter_context(made.open("a"))
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            made.rename(folder / LOCK)
        except OSError:
            return None
        undo.pop_all()
        return lock


def _hand_on(old: Path, new: Path) -> None:
    """Move what is kept of a store to its successor of the same content."""
    with suppress(OSError, DataError):  # none was kept, or it is of other content
        if read_manifest(old).fingerprint == read_manifest(new).fingerprint:
            (old / CACHE).rename(new / CACHE)


def _remove(folder: Path) -> None:
    """The lock last: what cannot be removed now can be later."""
    for part in (folder / NEW, folder / OLD):
        shutil.rmtree(part, ignore_errors=True)
    if not any((folder / part).exists() for part in (NEW, OLD)):
        shutil.rmtree(folder, ignore_errors=True)
