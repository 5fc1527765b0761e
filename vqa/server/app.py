"""The application: routes behind a guard. Everything that lasts hangs on it; nothing is global."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from fastapi import FastAPI

import vqa
from vqa.jobs.home import Home
from vqa.jobs.local_service import LocalService
from vqa.server.api import account, files, jobs
from vqa.server.guard import Guard, Hosts
from vqa.server.problems import RESPONSES, install
from vqa.server.studies import Studies
from vqa.server.tokens import Tokens
from vqa.tracking.curves import CurveCache

API = "/api/v1"


def create_app(
    home: Home, hosts: Hosts, stopping: threading.Event | None = None, *, warm: bool = True
) -> Guard:
    """The HTTP interface of one `VQA_HOME`, as an ASGI application.

    Args:
        home: made where it is missing.
        hosts: the names under which clients call it.
        stopping: set when the server is about to end, so that streams end too.
        warm: load torch at the start, and not at the first submission.
    """
    service, tokens = LocalService(home, paths_allowed=False), Tokens(home)
    studies = Studies(home)
    app = FastAPI(
        title="vqa",
        version=vqa.__version__,
        summary="A training service for visual question answering.",
        openapi_url=f"{API}/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=_lifespan(service, studies, warm),
    )
    app.state.service, app.state.tokens = service, tokens
    app.state.studies, app.state.curves = studies, CurveCache()
    app.state.stopping = stopping or threading.Event()
    install(app)
    for room in (account, jobs, files):
        app.include_router(room.router, prefix=API, responses=RESPONSES)
    return Guard(app, hosts, tokens)


def _lifespan(
    service: LocalService, studies: Studies, warm: bool
) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    """Load what checks need in a thread of its own, the server answers meanwhile; and end what is computed for it."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        if warm:
            threading.Thread(target=service.checker.warm, name="warm", daemon=True).start()
        yield
        studies.close()

    return lifespan
