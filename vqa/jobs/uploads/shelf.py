"""The uploads that have begun and are no stores yet, by user and name: `VQA_HOME/uploads/<hash of both>/`."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Collection
from functools import cached_property
from pathlib import Path

from vqa.errors import JobError
from vqa.jobs.home import Home
from vqa.jobs.uploads.owned import DOOMED, WORK, remove, set_aside
from vqa.jobs.uploads.shapes import UploadRequest
from vqa.jobs.uploads.staging import Record, Staging

MOST_UNFINISHED = 20
"""Uploads of a user at a time."""
Key = tuple[str, str]


class Shelf:
    """What is staged. Its callers hold a lock of theirs."""

    def __init__(self, home: Home) -> None:
        self._root, self._stores = home.path / "uploads", home.stores

    @cached_property
    def _held(self) -> dict[Key, Staging]:
        """Every upload on the disk, read when the first is asked for."""
        self._root.mkdir(mode=0o700, exist_ok=True)
        found = filter(None, map(Staging.open, self._root.glob("[!.]*")))
        return {(one.record.user, one.record.store): one for one in found}

    def find(self, key: Key) -> Staging | None:
        """An upload that has begun."""
        return self._held.get(key)

    def get(self, key: Key) -> Staging:
        """An upload that has begun.

        Raises:
            JobError: there is none.
        """
        if key not in self._held:
            raise unknown(key[1])
        return self._held[key]

    def taken(self, user: str) -> int:
        """What the uploads of a user take of the disk, in bytes."""
        return sum(one.taken for (owner, _), one in self._held.items() if owner == user)

    def check_count(self, user: str) -> None:
        """Refuse one more.

        Raises:
            JobError: `quota`.
        """
        stores = sorted(store for owner, store in self._held if owner == user)
        if len(stores) >= MOST_UNFINISHED:
            raise JobError(
                f"{user} has {len(stores)} unfinished uploads, such as {stores[0]!r}",
                fix="finish some, or `vqa upload --delete NAME`",
                kind="quota",
            )

    def begin(self, key: Key, request: UploadRequest) -> Staging:
        """The upload of this very content; of another one the pictures alone are kept."""
        user, store = key
        record = Record(user=user, store=store, request=request)
        held = self._held.get(key)
        if held is None or held.record != record:
            held = self._held[key] = Staging.begin(self._folder(key), record)
        return held

    def read_again(self, key: Key) -> None:
        """Take an upload as it is on the disk now; none where it is damaged."""
        found = Staging.open(self._folder(key))
        if found is None:
            self.drop(key)
        else:
            self._held[key] = found

    def drop(self, key: Key) -> None:
        """Forget an upload; its many files are deleted behind, so that nobody waits for that."""
        staging = self._held.pop(key, None)
        if staging is not None and staging.folder.exists():
            doomed = set_aside(staging.folder)
            threading.Thread(target=remove, args=(doomed,), daemon=True).start()

    def drop_older(self, than: float, but: Collection[Key]) -> None:
        """Forget what nobody has gone on with since `than` (Unix time), and delete what deaths have left half done."""
        for key, staging in list(self._held.items()):
            if key not in but and staging.touched < than:
                self.drop(key)
        used = {staging.folder for staging in self._held.values()}
        for folder in self._root.iterdir():
            if folder.name.startswith(DOOMED):
                remove(folder)
            elif folder not in used and folder.stat().st_mtime < than:
                remove(set_aside(folder))
        for folder in self._stores.glob(".*"):
            if self._is_left(folder):
                remove(folder)

    def _is_left(self, folder: Path) -> bool:
        """Whether a death has left it among the stores."""
        if folder.name.startswith(WORK):
            return not (self._root / folder.name[len(WORK) :]).exists()
        return folder.name.startswith(DOOMED)

    def _folder(self, key: Key) -> Path:
        """No name of a client is made part of a path."""
        return self._root / hashlib.sha256("/".join(key).encode()).hexdigest()[:32]


def unknown(store: str) -> JobError:
    """What is said of an upload that has not begun."""
    fix = "begin it with `vqa upload STORE`"
    return JobError(f"no upload {store!r} of yours", fix=fix, kind="not-found")
