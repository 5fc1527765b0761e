"""Uploads of stores: taken piece by piece under quotas, and made into stores by another process."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from vqa.errors import JobError, VQAError
from vqa.jobs.home import Home
from vqa.jobs.library import Library
from vqa.jobs.locks import Lock
from vqa.jobs.uploads.room import Allowance
from vqa.jobs.uploads.shapes import Piece, UploadRequest, UploadView
from vqa.jobs.uploads.shelf import Key, Shelf, unknown
from vqa.jobs.uploads.staging import Staging, check_picture, expected, lines_of, on_disk
from vqa.jobs.uploads.work import Work, Worker

log = logging.getLogger(__name__)
DAY, HOUR = 86_400.0, 3600.0
MOST_OUTCOMES = 256


class Uploads:
    """The uploads of a `VQA_HOME`, each by its user and the name of its store. Serves any number of threads.

    Args:
        home: whose stores they become.
        library: knows which names are taken.
        work: makes a store of what is staged; a process of its own by default.

    Raises:
        JobError: from every method: uploads are off (`forbidden`), there is no such upload (`not-found`), or what
            came cannot be used.
    """

    def __init__(self, home: Home, library: Library, work: Work | None = None) -> None:
        self._home, self._library = home, library
        self._worker, self._allowance = Worker(home, work), Allowance(home)
        self._lock, self._closed = threading.RLock(), threading.Event()
        self._owner = Lock(home.uploads_lock)
        self._shelf = Shelf(home)
        self._making: dict[Key, UploadView] = {}
        self._outcomes: OrderedDict[Key, UploadView] = OrderedDict()

    def begin(self, user: str, store: str, request: UploadRequest) -> UploadView:
        """Begin an upload, or say how far it has come.

        Raises:
            JobError: the name is taken by another store (`conflict`), or there is no room (`quota`, `disk-full`).
        """
        with self._alone():
            key = (user, store)
            if key in self._making:
                return self._begun(self._making[key], request)
            there = self._there(key, request)
            if there is not None:
                return there
            self._outcomes.pop(key, None)
            self._allowance.changed()  # stores are removed by hand, too
            self._allowance.check_count(user)
            staged = self._shelf.find(key)
            if staged is None:
                self._shelf.check_count(user)
            self._check_room(user, expected(request), staged.taken if staged else 0)
            return _view(self._shelf.begin(key, request))

    def look(self, user: str, store: str) -> UploadView:
        """How far an upload has come."""
        with self._alone():
            key = (user, store)
            known = self._making.get(key) or self._outcomes.get(key)
            return known or _view(self._shelf.get(key))

    def add_examples(self, user: str, store: str, piece: Piece) -> UploadView:
        """Take the next examples; those that have come before are passed over."""
        with self._alone():
            request = self._open((user, store)).record.request
        lines = lines_of(piece, request)
        with self._alone():
            staging = self._open((user, store))
            if piece.first + len(piece.examples) > staging.questions:
                _check_next(staging, piece)
                self._check_more(user, on_disk(len(lines)))
                staging.add_examples(piece.first, lines, len(piece.examples))
            return _view(staging)

    def missing(self, user: str, store: str, hashes: Sequence[str]) -> list[str]:
        """Which of these pictures have not come yet."""
        with self._alone():
            held = self._open((user, store)).pictures
            return [sha256 for sha256 in hashes if sha256 not in held]

    def add_picture(self, user: str, store: str, sha256: str, data: bytes) -> None:
        """Take a picture that is what its name says, and decodes."""
        size = on_disk(len(data))
        with self._alone():
            staging = self._open((user, store))
            if sha256 in staging.pictures:
                return
            if staging.record.request.text_only:
                raise JobError("the store is text only", where=store, kind="conflict")
            self._check_more(user, size)
            staging.taken += size  # held for it, while it is looked at
        try:
            check_picture(sha256, data)
            staging.write_picture(sha256, data)
        except FileNotFoundError:
            raise unknown(store) from None
        finally:
            with self._lock:
                staging.taken -= size
        with self._lock:
            self._shelf.get((user, store)).count_picture(sha256, len(data))

    def finish(self, user: str, store: str) -> UploadView:
        """Have the store made, behind; `look` says what becomes of it."""
        with self._alone():
            key = (user, store)
            known = self._making.get(key) or self._outcomes.get(key)
            if known and known.state in ("making", "made"):
                return known
            staging = self._open(key)
            _check_complete(staging)
            self._allowance.check_disk(staging.taken)
            self._outcomes.pop(key, None)
            self._making[key] = _view(staging).model_copy(update={"state": "making"})
            self._worker.start(staging, lambda told: self._hear(key, told))
            return self._making[key]

    def abandon(self, user: str, store: str) -> None:
        """Forget an upload and delete what has come of it."""
        with self._alone():
            key = (user, store)
            if key in self._outcomes and self._shelf.find(key) is None:
                del self._outcomes[key]
                return
            self._open(key)
            self._outcomes.pop(key, None)
            self._shelf.drop(key)

    def deleted(self, store: str) -> None:
        """A store is gone: nobody's upload has made it any more."""
        with self._lock:
            for key in [key for key in self._outcomes if key[1] == store]:
                del self._outcomes[key]
            self._allowance.changed()

    def keep_tidy(self) -> None:
        """Sweep now, and every hour until closed."""
        threading.Thread(target=self._tidy, name="uploads", daemon=True).start()

    def sweep(self) -> None:
        """Delete what nobody has gone on with for `keep_uploads_days`."""
        oldest = time.time() - self._home.settings.keep_uploads_days * DAY
        with self._lock:
            if self._owner.take():
                self._shelf.drop_older(oldest, self._making)

    def close(self) -> None:
        """End what is being made; it is made anew when its sender comes again."""
        self._closed.set()
        self._worker.close()
        with self._lock:
            self._owner.release()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One at a time, and of several servers of a `VQA_HOME` one alone: what is staged is counted in memory."""
        with self._lock:
            if not self._owner.take():
                what, fix = "another server of this VQA_HOME takes uploads", "upload to that one"
                raise JobError(what, fix=fix, kind="conflict")
            yield

    def _open(self, key: Key) -> Staging:
        """An upload that takes what is sent."""
        with self._lock:
            if key in self._making:
                fix = "`vqa upload` once more waits for it"
                what = "a store is being made of it"
                raise JobError(what, where=key[1], fix=fix, kind="conflict")
            return self._shelf.get(key)

    def _begun(self, view: UploadView, request: UploadRequest) -> UploadView:
        if view.fingerprint != request.fingerprint:
            what = "a store of other content is being made under this name"
            raise JobError(what, where=view.store, fix="wait, or choose another", kind="conflict")
        return view

    def _there(self, key: Key, request: UploadRequest) -> UploadView | None:
        """The answer where the very store stands under its name already; None where the name is free."""
        from vqa.data.store import Store

        user, store = key
        path = self._library.stores().get(store, self._home.stores / store)
        named = store in self._home.settings.stores  # be it there or not
        if not named and not path.exists() and not path.is_symlink():
            return None
        try:
            fingerprint = Store.open(path).fingerprint
        except VQAError:
            fingerprint = ""
        if fingerprint != request.fingerprint:
            fix = "choose another name with --as NAME; `vqa upload --delete NAME` deletes one of yours"
            raise JobError(f"another store is called {store!r}", fix=fix, kind="conflict")
        self._shelf.drop(key)
        return UploadView(store=store, user=user, state="made", fingerprint=fingerprint)

    def _check_room(self, user: str, in_all: int, staged: int) -> None:
        """Before anything is sent: for what is to come beside what is staged, and for the store made of it."""
        others = self._shelf.taken(user) - staged
        self._allowance.check_quota(user, others, max(in_all, staged))
        self._allowance.check_disk(max(in_all - staged, 0) + in_all)

    def _check_more(self, user: str, size: int) -> None:
        self._allowance.check_quota(user, self._shelf.taken(user), size)
        self._allowance.check_disk(size)

    def _hear(self, key: Key, told: dict[str, Any]) -> None:
        """What the making says."""
        with self._lock:
            view = UploadView.model_validate(self._making[key].model_dump() | told)
            self._making[key] = view
            if view.state == "making":
                return
            del self._making[key]
            self._outcomes[key] = view
            while len(self._outcomes) > MOST_OUTCOMES:
                self._outcomes.popitem(last=False)
            if view.state == "failed":
                self._shelf.read_again(key)
            else:
                self._shelf.drop(key)
            self._allowance.changed()

    def _tidy(self) -> None:
        while not self._closed.is_set():
            try:
                self.sweep()
            except OSError:
                log.exception("uploads cannot be swept")
            self._closed.wait(HOUR)


def _check_next(staging: Staging, piece: Piece) -> None:
    """Refuse examples that would leave a gap, repeat some, or are more than were told of."""
    known, end = staging.record.request.questions, piece.first + len(piece.examples)
    if piece.first != staging.questions or end > known:
        raise JobError(
            f"{staging.questions} of {known} questions have come; these are {piece.first + 1} to {end}",
            where="first",
            fix="send the next ones",
            kind="conflict",
        )


def _check_complete(staging: Staging) -> None:
    known = staging.record.request.questions
    if staging.questions < known:
        raise JobError(
            f"{staging.questions} of {known} questions have come",
            where=staging.record.store,
            fix="send the others first",
            kind="conflict",
        )


def _view(staging: Staging) -> UploadView:
    record = staging.record
    return UploadView(
        store=record.store,
        user=record.user,
        state="open",
        fingerprint=record.request.fingerprint,
        questions=staging.questions,
        pictures=len(staging.pictures),
        bytes=staging.bytes,
    )
