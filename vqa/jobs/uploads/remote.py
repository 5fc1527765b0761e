"""The uploads of a server on another machine, over its HTTP interface."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from vqa.errors import JobError
from vqa.jobs.remote import RemoteService
from vqa.jobs.uploads.shapes import Deleted, Hashes, Piece, UploadRequest, UploadView
from vqa.names import LONGEST_NAME, NAME_PATTERN, NAME_RULE

BYTES = "application/octet-stream"


@dataclass(frozen=True)
class RemoteUploads:
    """What `vqa upload` asks a server for. Everything may be asked for again but deleting.

    Raises:
        JobError: from every method: what the server says of the request.
        EngineError: it cannot be reached, or fails.
    """

    server: RemoteService

    def begin(self, store: str, request: UploadRequest) -> UploadView:
        """Begin to send a store, or hear how far that has come."""
        with self._newer():
            return self.server.read(UploadView, "PUT", _upload(store), json=request.model_dump())

    def look(self, store: str) -> UploadView:
        """How far an upload has come."""
        return self.server.read(UploadView, "GET", _upload(store))

    def send_examples(self, store: str, piece: Piece) -> UploadView:
        """Send the next examples."""
        return self.server.read(
            UploadView, "POST", f"{_upload(store)}/examples", json=piece.model_dump()
        )

    def missing_pictures(self, store: str, hashes: Sequence[str]) -> list[str]:
        """Which of these the server has not got yet."""
        body = {"sha256": list(hashes)}
        return self.server.read(Hashes, "POST", f"{_upload(store)}/missing", json=body).sha256

    def send_picture(self, store: str, sha256: str, data: bytes) -> None:
        """Send a picture's file."""
        path, kind = f"{_upload(store)}/pictures/{sha256}", {"Content-Type": BYTES}
        self.server.send("PUT", path, content=data, headers=kind)

    def finish(self, store: str) -> UploadView:
        """Have the server make the store."""
        return self.server.read(UploadView, "POST", f"{_upload(store)}/finish")

    def abandon(self, store: str) -> None:
        """Have the server forget what has come of a store."""
        self.server.send("DELETE", _upload(store), repeatable=False)

    def delete_store(self, store: str) -> Deleted:
        """Have an uploaded store deleted."""
        with self._newer():
            return self.server.read(Deleted, "DELETE", f"/stores/{_store(store)}", repeatable=False)

    def _newer(self) -> AbstractContextManager[None]:
        """Say it where a server is older than uploads are."""
        fix = "have it updated, or prepare the store on its machine, into VQA_HOME/stores"
        return self.server.newer("takes no uploads", fix)


def _store(name: str) -> str:
    """A store's name as part of an address.

    Raises:
        JobError: it is none.
    """
    if not re.fullmatch(NAME_PATTERN, name) or len(name) > LONGEST_NAME:
        raise JobError(f"{name!r} is no name of a store", fix=f"it {NAME_RULE}")
    return name


def _upload(store: str) -> str:
    return f"/uploads/{_store(store)}"
