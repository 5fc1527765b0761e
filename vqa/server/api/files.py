"""What a run writes while it runs: logs and journal, whole or as they grow; and its predictions."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Callable
from typing import Annotated

import anyio
from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.responses import FileResponse, StreamingResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent
from starlette.concurrency import run_in_threadpool
from typing_extensions import override

from vqa.errors import JobError, VQAError
from vqa.jobs.local_service import LocalService
from vqa.jobs.logs import log_files
from vqa.jobs.views import Chunk
from vqa.server.api.dependencies import FileName, JobId, Looked, Reader, SplitName

POLL_SECONDS = 0.5
LONGEST_SECONDS = 3600.0
"""A stream ends then; whoever reads it comes back with its last offset."""
FARTHEST = 1 << 53
Offset = Annotated[int, Query(ge=-FARTHEST, le=FARTHEST)]
LastEventId = Annotated[int | None, Header(ge=0, le=FARTHEST)]

router = APIRouter(tags=["files"])


@router.get("/jobs/{job}/logs/{name}")
def log(job: JobId, name: FileName, caller: Reader, offset: Offset = 0) -> Chunk:
    """What a log holds from an offset on; a negative one counts from its end."""
    return caller.service.log(job, name, offset)


def first_chunk(
    job: JobId,
    name: FileName,
    caller: Reader,
    offset: Offset = 0,
    last_event_id: LastEventId = None,
) -> Chunk:
    """The beginning of a stream: asked for before it starts, so that a job that is not there is a plain 404."""
    return caller.service.log(job, name, offset if last_event_id is None else last_event_id)


@router.get("/jobs/{job}/logs/{name}/stream", response_class=EventSourceResponse)
async def stream(
    request: Request,
    job: JobId,
    name: FileName,
    caller: Reader,
    first: Annotated[Chunk, Depends(first_chunk)],
) -> AsyncIterator[ServerSentEvent]:
    """A log as it grows.

    Events `chunk` carry a Chunk, and as id the offset at which to go on; `end` comes once the job has ended, without
    text: that of all events together is the log.
    """
    state = request.app.state

    def over() -> bool:
        return state.stopping.is_set() or not state.tokens.holds(caller.token)

    async for event in follow(caller.service, job, name, first, over):
        yield event


async def follow(
    service: LocalService, job: str, name: str, chunk: Chunk, over: Callable[[], bool]
) -> AsyncIterator[ServerSentEvent]:
    """The events of a stream that begins with `chunk`, until it is `over`. Between two looks no thread waits."""
    until = time.monotonic() + LONGEST_SECONDS
    while True:
        if chunk.text or chunk.rewound:
            yield ServerSentEvent(data=chunk, event="chunk", id=str(chunk.offset))
        if chunk.ended:
            end = chunk.model_copy(update={"text": "", "rewound": False})  # the chunk had both
            yield ServerSentEvent(data=end, event="end", id=str(chunk.offset))
            return
        if over() or time.monotonic() > until:
            return
        if not chunk.text:
            await anyio.sleep(POLL_SECONDS)
        try:
            chunk = await run_in_threadpool(service.log, job, name, chunk.offset)
        except VQAError:  # the job was removed meanwhile
            chunk = Chunk(text="", offset=chunk.offset, ended=True)


class Growing(FileResponse):
    """A file to which something may be written while it is sent: as far as it then goes, of no length told before."""

    @override
    def set_stat_headers(self, stat_result: os.stat_result) -> None:
        """What is known of the file."""
        super().set_stat_headers(stat_result)
        del self.headers["content-length"]


@router.get(
    "/jobs/{job}/logs/{name}/file",
    response_class=FileResponse,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
def log_file(watched: Looked, name: FileName) -> FileResponse:
    """A log whole; `Range` gives a part."""
    file = log_files(watched.run_dir).get(name)
    if file is None:
        names = ", ".join(log_files(watched.run_dir)) or "none yet"
        fix = f"there are {names}"
        raise JobError(f"no log {name!r}", where=watched.job, fix=fix, kind="not-found")
    return Growing(file, media_type="text/plain", filename=file.name)


@router.get("/jobs/{job}/predictions")
def splits(job: JobId, caller: Reader) -> list[str]:
    """The splits for which a run has predictions."""
    return list(caller.service.predictions(job))


@router.get(
    "/jobs/{job}/predictions/{split}",
    response_class=FileResponse,
    responses={200: {"content": {"application/x-ndjson": {"schema": {"type": "string"}}}}},
)
def predictions(watched: Looked, split: SplitName) -> FileResponse:
    """One JSON object a question; `Range` gives a part."""
    file = watched.predictions_file(split)
    return FileResponse(file, media_type="application/x-ndjson", filename=file.name)


@router.get(
    "/jobs/{job}/model",
    response_class=StreamingResponse,
    responses={200: {"content": {"application/x-tar": {"schema": {"type": "string"}}}}},
)
def model(job: JobId, caller: Reader) -> StreamingResponse:
    """The exported model of a run that succeeded, as a tar: unpacked into a folder it is what `vqa.load` takes."""
    parcel = caller.service.model(job)
    headers = {
        "Content-Length": str(parcel.size),
        "Content-Disposition": f'attachment; filename="{job}.tar"',
    }
    return StreamingResponse(parcel.pieces(), media_type="application/x-tar", headers=headers)
