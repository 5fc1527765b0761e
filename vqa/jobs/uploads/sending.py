"""Sends a store to a server: its examples, then the pictures that the server has not got, then "make it"."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

import pyarrow.compute as pc
from pydantic import ValidationError

from vqa.data.store import Store
from vqa.errors import DataError, EngineError, JobError
from vqa.jobs.uploads.remote import RemoteUploads
from vqa.jobs.uploads.shapes import (
    MOST_AT_ONCE,
    MOST_HASHES,
    Piece,
    Sent,
    UploadRequest,
    UploadView,
)
from vqa.jobs.views import View

PIECE_BYTES = 1 << 20
"""Examples of one piece take about so many; a body may have four times as many."""
THREADS = 4
AHEAD = 8
"""Pictures that are read ahead of being sent."""
POLL_SECONDS = 0.5
Shape = TypeVar("Shape", bound=View)
TRIES = 3
"""A server that is restarted while it makes the store is asked again."""


class Show(Protocol):
    """Is told how far a sending is."""

    def questions(self, done: int, in_all: int) -> None:
        """So many questions are there."""
        ...

    def begin(self, pictures: int, in_all: int, sent: int, size: int) -> None:
        """So many pictures of all are there, and so many bytes of their size."""
        ...

    def advance(self, size: int) -> None:
        """One more picture of that size is there."""
        ...

    def making(self, done: int, in_all: int) -> None:
        """The server has put so many questions of all into the store."""
        ...


@dataclass
class Outcome:
    """What became of a sending.

    Attributes:
        view: the server's last word.
        pictures, bytes: what was sent of pictures by this sender.
        was_there: the very store stood there before.
    """

    view: UploadView
    pictures: int = 0
    bytes: int = 0
    was_there: bool = False


@dataclass(frozen=True)
class Picture:
    """A picture of the store: a row of its table, and the bytes of its file."""

    sha256: str
    row: int
    size: int


@dataclass
class Sender:
    """Sends a store under a name."""

    server: RemoteUploads
    store: Store
    name: str
    show: Show
    pictures: list[Picture] = field(init=False)
    _sizes: list[int] = field(init=False)

    def __post_init__(self) -> None:
        self._sizes = [] if self.store.manifest.text_only else _sizes(self.store)
        self.pictures = _pictures(self.store, self._sizes)

    def send(self) -> Outcome:
        """Send what the server has not got; it is made into a store, or refused.

        Raises:
            DataError: the store is damaged here.
            JobError: what the server says of it.
            EngineError: the server cannot be reached, or cannot make the store.
        """
        request, outcome = self._request(), None
        for _ in range(TRIES):
            view = self.server.begin(self.name, request)
            if outcome is None:
                outcome = Outcome(view, was_there=view.state == "made")
            if view.state == "open":
                self._send_examples(view)
                self._send_pictures(outcome)
                view = self.server.finish(self.name)
            outcome.view = self._awaited(view)
            if outcome.view.fingerprint != request.fingerprint:
                what = f"another store of yours was sent as {self.name!r} meanwhile"
                raise JobError(what, fix="send them under two names", kind="conflict")
            if outcome.view.state != "open":
                return outcome
        raise EngineError("was restarted again and again", where=self.server.server.address)

    def _request(self) -> UploadRequest:
        manifest = self.store.manifest
        if self.store.computed_fingerprint() != manifest.fingerprint:
            raise DataError(
                "its content is not what its fingerprint says, or was not written by `vqa prepare`",
                where=str(self.store.path),
                fix="prepare it again",
            )
        fields = {
            "fingerprint": manifest.fingerprint,
            "source": manifest.source,
            "questions": self.store.example_table.num_rows,
            "images": manifest.images,
            "bytes": sum(self._sizes),
            "text_only": manifest.text_only,
        }
        return _shaped(UploadRequest, fields, str(self.store.path))

    def _send_examples(self, view: UploadView) -> None:
        """Those that have not come, in their order."""
        first = view.questions
        hashes = {} if self.store.manifest.text_only else self.store.image_hashes()
        for records in _pieces(self.store.records(first)):
            examples = [
                _shaped(Sent, record, f"{self.store.path}, record {number}")
                for number, record in enumerate(records, first + 1)
            ]
            ids = {one.image_id for one in examples if hashes}
            pictures = {image_id: hashes[image_id] for image_id in ids}
            piece = Piece(first=first, examples=examples, pictures=pictures)
            self.server.send_examples(self.name, piece)
            first += len(records)
            self.show.questions(first, self.store.example_table.num_rows)

    def _send_pictures(self, outcome: Outcome) -> None:
        """Those that the server has not got, several at a time."""
        missing = self._missing()
        there = [picture for picture in self.pictures if picture.sha256 not in missing]
        sizes = sum(one.size for one in there), sum(one.size for one in self.pictures)
        self.show.begin(len(there), len(self.pictures), *sizes)
        pool, waiting = ThreadPoolExecutor(THREADS), deque[tuple[Picture, Future[None]]]()
        try:
            for picture in self.pictures:
                if picture.sha256 in missing:
                    data = self.store.image_bytes(picture.row)
                    waiting.append((picture, pool.submit(self._send_picture, picture, data)))
                if len(waiting) > AHEAD:
                    self._settle(*waiting.popleft(), outcome)
            while waiting:
                self._settle(*waiting.popleft(), outcome)
        finally:
            pool.shutdown(cancel_futures=True)

    def _missing(self) -> set[str]:
        missing, hashes = set[str](), [picture.sha256 for picture in self.pictures]
        for first in range(0, len(hashes), MOST_HASHES):
            some = hashes[first : first + MOST_HASHES]
            missing.update(self.server.missing_pictures(self.name, some))
        return missing

    def _send_picture(self, picture: Picture, data: bytes) -> None:
        try:
            self.server.send_picture(self.name, picture.sha256, data)
        except JobError as error:
            if error.where != picture.sha256:
                raise
            image_id = self.store.image(picture.row)["image_id"]
            what = f"the picture of image {image_id!r} is refused: {error.what}"
            raise DataError(what, where=str(self.store.path), fix=error.fix) from None

    def _settle(self, picture: Picture, sending: Future[None], outcome: Outcome) -> None:
        sending.result()
        outcome.pictures += 1
        outcome.bytes += picture.size
        self.show.advance(picture.size)

    def _awaited(self, view: UploadView) -> UploadView:
        """The server's last word; `open` where it has forgotten what it was making."""
        while view.state == "making":
            self.show.making(view.done, self.store.example_table.num_rows)
            time.sleep(POLL_SECONDS)
            try:
                view = self.server.look(self.name)
            except JobError as error:
                if error.kind != "not-found":
                    raise
                return view.model_copy(update={"state": "open"})
        return view


def _shaped(shape: type[Shape], fields: dict[str, Any], where: str) -> Shape:
    """What is sent, in its shape.

    Raises:
        DataError: a store holds more than a server takes.
    """
    try:
        return shape(**fields)
    except ValidationError as error:
        fault = error.errors()[0]
        what = f"cannot be sent: its {fault['loc'][0]}: {fault['msg']}"
        fix = "change that in the source, and prepare the store again"
        raise DataError(what, where=where, fix=fix) from None


def _sizes(store: Store) -> list[int]:
    """Of each image the bytes of its file, in the order of the table.

    Raises:
        DataError: a file is gone whose path alone is kept.
    """
    column = pc.struct_field(store.image_table.column("image"), "bytes")
    sizes = pc.binary_length(column).to_pylist()
    return [_size_of_file(store, row) if size is None else size for row, size in enumerate(sizes)]


def _pictures(store: Store, sizes: Sequence[int]) -> list[Picture]:
    """Each picture once, in the order of the table; none of a text-only store, which has no `sizes`."""
    found = dict[str, Picture]()
    hashes = store.image_table.column("sha256").to_pylist()
    for row, (sha256, size) in enumerate(zip(hashes, sizes, strict=False)):
        found.setdefault(sha256, Picture(sha256, row, size))
    return list(found.values())


def _size_of_file(store: Store, row: int) -> int:
    path = Path(store.image(row)["image"]["path"])
    try:
        return path.stat().st_size
    except OSError as error:
        raise DataError(f"image is gone ({error.strerror})", where=str(path)) from error


def _pieces(records: Iterator[dict[str, Any]]) -> Iterator[Sequence[dict[str, Any]]]:
    """Records together as far as a body may hold them."""
    piece, size = list[dict[str, Any]](), 0
    for record in records:
        length = len(json.dumps(record))
        if piece and (size + length > PIECE_BYTES or len(piece) == MOST_AT_ONCE):
            yield piece
            piece, size = [], 0
        piece.append(record)
        size += length
    if piece:
        yield piece
