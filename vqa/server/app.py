"""The application: routes behind a guard. Everything that lasts hangs on it; nothing is global."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from anyio import CapacityLimiter
from fastapi import FastAPI

import vqa
from vqa.jobs.home import Home
from vqa.jobs.local_service import LocalService
from vqa.jobs.uploads.service import Uploads
from vqa.server.ablations import Ablations
from vqa.server.api import account, ask, files, groups, jobs, runs, stores, uploads
from vqa.server.codes import Codes
from vqa.server.guard import Guard, Hosts
from vqa.server.holdings import Holdings
from vqa.server.opened import Opened
from vqa.server.pages import ablations, assets, data, run, run_predictions, signin, submit
from vqa.server.pages import ask as ask_page
from vqa.server.pages import jobs as jobs_page
from vqa.server.pages.assets import Assets
from vqa.server.pages.layout import Pages, presented
from vqa.server.problems import RESPONSES, install
from vqa.server.studies import Studies
from vqa.server.tokens import Tokens

API = "/api/v1"


def create_app(
    home: Home,
    hosts: Hosts,
    stopping: threading.Event | None = None,
    codes: Codes | None = None,
    *,
    warm: bool = True,
) -> Guard:
    """The HTTP interface of one `VQA_HOME` and its pages, as an ASGI application.

    Args:
        home: made where it is missing.
        hosts: the names under which clients call it.
        stopping: set when the server is about to end, so that streams end too.
        codes: with which the owner signs in; none where None.
        warm: load torch at the start, and not at the first submission.
    """
    service, tokens = LocalService(home, paths_allowed=False), Tokens(home)
    studies, received = Studies(home), Uploads(home, service.checker.library)
    app = FastAPI(
        title="vqa",
        version=vqa.__version__,
        summary="A training service for visual question answering.",
        openapi_url=f"{API}/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=_lifespan(service, studies, received, warm),
    )
    app.state.service, app.state.tokens, app.state.studies = service, tokens, studies
    app.state.uploads, app.state.decoders = received, CapacityLimiter(uploads.MOST_DECODED)
    app.state.askers = CapacityLimiter(ask.MOST_ASKED)
    app.state.stopping, app.state.codes = stopping or threading.Event(), codes or Codes()
    _open(app, home)
    install(app, presented)
    _route(app)
    return Guard(app, hosts, tokens)


def _open(app: FastAPI, home: Home) -> None:
    """What pages look into and keep from one request to the next."""
    state = app.state
    state.assets, state.opened = Assets(), Opened()
    state.pages = Pages(state.assets)
    state.holdings = Holdings(state.service.checker.library, state.opened)
    state.ablations = Ablations(home, state.service, state.studies, state.opened.curves)


def _route(app: FastAPI) -> None:
    for room in (account, jobs, files, groups, runs, stores, uploads, ask):
        app.include_router(room.router, prefix=API, responses=RESPONSES)
    for one in (assets, signin, jobs_page, submit, run, run_predictions, ablations, ask_page, data):
        app.include_router(one.router)


def _lifespan(
    service: LocalService, studies: Studies, received: Uploads, warm: bool
) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    """Load what checks need in a thread of its own, the server answers meanwhile; and end what is computed for it."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        if warm:
            threading.Thread(target=service.checker.warm, name="warm", daemon=True).start()
        received.keep_tidy()
        yield
        received.close()
        studies.close()

    return lifespan
