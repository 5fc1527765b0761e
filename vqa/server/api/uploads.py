"""A store sent from another machine: its examples in pieces, its pictures one by one, and the making of it."""

from __future__ import annotations

from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Body, Path

from vqa.jobs.uploads.shapes import SHA256, Deleted, Hashes, Piece, UploadRequest, UploadView
from vqa.names import LONGEST_NAME, NAME_PATTERN
from vqa.server.api.dependencies import Decoders, OpenHoldings, OpenUploads, StoreName, Submitter

UploadName = Annotated[str, Path(pattern=NAME_PATTERN, max_length=LONGEST_NAME, examples=["mine"])]
PictureName = Annotated[str, Path(pattern=SHA256, examples=["0" * 64])]
Picture = Annotated[
    bytes, Body(media_type="application/octet-stream", description="The picture's file.")
]

MOST_DECODED = 4
"""So many pictures are decoded at a time: one may take 150 MB."""

router = APIRouter(tags=["uploads"])


@router.put("/uploads/{store}")
def begin(
    store: UploadName, request: UploadRequest, caller: Submitter, taken: OpenUploads
) -> UploadView:
    """Begin an upload of one's own, or go on with it: it says how far it has come.

    Where that very store stands there already, it is `made`. Of other content than before, pictures are kept.
    """
    return taken.begin(caller.token.name, store, request)


@router.get("/uploads/{store}")
def look(store: UploadName, caller: Submitter, taken: OpenUploads) -> UploadView:
    """How far an upload of one's own has come."""
    return taken.look(caller.token.name, store)


@router.delete("/uploads/{store}", status_code=204)
def abandon(store: UploadName, caller: Submitter, taken: OpenUploads) -> None:
    """Forget an upload of one's own, with all that has come of it."""
    taken.abandon(caller.token.name, store)


@router.post("/uploads/{store}/examples")
def add_examples(
    store: UploadName, piece: Piece, caller: Submitter, taken: OpenUploads
) -> UploadView:
    """Take the next examples. Sent again, they are passed over."""
    return taken.add_examples(caller.token.name, store, piece)


@router.post("/uploads/{store}/missing")
def missing(store: UploadName, asked: Hashes, caller: Submitter, taken: OpenUploads) -> Hashes:
    """Which of these pictures have not come yet."""
    return Hashes(sha256=taken.missing(caller.token.name, store, asked.sha256))


@router.put("/uploads/{store}/pictures/{sha256}", status_code=204)
async def add_picture(
    store: UploadName,
    sha256: PictureName,
    data: Picture,
    caller: Submitter,
    taken: OpenUploads,
    limiter: Decoders,
) -> None:
    """Take a picture under the hash of its file. It is decoded before it is accepted."""
    about = caller.token.name, store, sha256, data
    await to_thread.run_sync(taken.add_picture, *about, limiter=limiter)


@router.post("/uploads/{store}/finish", status_code=202)
def finish(store: UploadName, caller: Submitter, taken: OpenUploads) -> UploadView:
    """Have the store made of what has come; ask for the upload to see what becomes of it."""
    return taken.finish(caller.token.name, store)


@router.delete("/stores/{store}")
def delete(store: StoreName, caller: Submitter, taken: OpenUploads, held: OpenHoldings) -> Deleted:
    """Delete a store that one has uploaded (an admin: anybody's), where no job that has not ended names it."""
    freed = caller.service.delete_store(store, any_owner=caller.token.may("admin"))
    taken.deleted(store)
    held.let_go()
    return Deleted(store=store, bytes=freed)
