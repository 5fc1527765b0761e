"""Errors as `application/problem+json` (RFC 9457), and nothing that only the server's owner should see."""

from __future__ import annotations

import errno
import logging
import sqlite3
from collections.abc import Callable, Mapping
from typing import Any

from anyio import BrokenResourceError
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.routing import compile_path
from starlette.types import ASGIApp, Receive, Scope, Send

from vqa.errors import EngineError, InputError, JobError, VQAError
from vqa.faults import words

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
STATUS = {
    "invalid": 422,
    "not-found": 404,
    "conflict": 409,
    "forbidden": 403,
    "quota": 429,
    "disk-full": 507,
}
FAULTS_SHOWN = 20


class Problem(BaseModel):
    """What went wrong, for programs and for people.

    Attributes:
        title: the status in words.
        detail: what is wrong with `where`; of several faults the others behind it, each with its place.
        kind: as `JobError.kind`, or `malformed`, `unauthorized`, `too-large`, `timeout`, `busy`, `internal`.
        where, fix: the key or field, and what to do.
    """

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    kind: str
    where: str = ""
    fix: str = ""


RESPONSES: dict[int | str, dict[str, Any]] = {
    span: {
        "description": what,
        "content": {MEDIA_TYPE: {"schema": Problem.model_json_schema()}},
    }
    for span, what in (("4XX", "The request cannot be met."), ("5XX", "The server failed."))
}
"""Every route's errors, for the interface's description."""

TITLES = {
    400: "Bad request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not found",
    405: "Method not allowed",
    408: "Request timeout",
    409: "Conflict",
    413: "Content too large",
    415: "Unsupported media type",
    421: "Misdirected request",
    422: "Unprocessable content",
    429: "Too many requests",
    500: "Internal server error",
    503: "Service unavailable",
    507: "Insufficient storage",
}
KINDS = {401: "unauthorized", 404: "not-found", 405: "method", 422: "invalid", 500: "internal"}


def problem(
    status: int,
    detail: str,
    *,
    kind: str = "",
    where: str = "",
    fix: str = "",
    headers: Mapping[str, str] | None = None,
) -> Response:
    """An answer that describes an error."""
    title = TITLES.get(status, "Error")
    content = Problem(
        title=title,
        status=status,
        detail=_writable(detail) or title,
        kind=kind or KINDS.get(status, "malformed"),
        where=_writable(where),
        fix=_writable(fix),
    )
    return JSONResponse(content.model_dump(), status, headers, media_type=MEDIA_TYPE)


def describe(error: Exception) -> Response:
    """The answer to an error that a request ran into."""
    if isinstance(error, InputError):
        kind = error.kind if isinstance(error, JobError) else "invalid"
        return problem(STATUS[kind], error.what, kind=kind, where=error.where, fix=error.fix)
    if isinstance(error, EngineError):
        return problem(503, error.what, kind="engine", where=error.where, fix=error.fix)
    if _is_disk_full(error):
        return problem(507, "the server's disk is full", kind="disk-full")
    if isinstance(error, sqlite3.OperationalError):
        log.warning("the queue does not answer: %s", error)
        return problem(503, "the queue is busy", kind="busy", headers={"Retry-After": "1"})
    log.error("a request failed", exc_info=error)
    return problem(500, "the server failed; its log says more")


class Departures:
    """Ends a stream in silence whose reader has gone: the framework's own then fails where it waits to be read.

    Args:
        app: makes the streams.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, as far as somebody listens."""
        try:
            await self.app(scope, receive, send)
        except* BrokenResourceError:
            pass


Present = Callable[[Request, Response], Response]


def install(app: FastAPI, present: Present) -> None:
    """Have an application answer every error so.

    Args:
        present: gives the answer the form that whoever asked can read.
    """

    async def known(request: Request, error: Exception) -> Response:
        return present(request, describe(error))

    async def http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        headers = dict(error.headers or {})
        if error.status_code == 405:
            headers["Allow"] = _allowed(app, request) or headers["Allow"]
        return present(request, problem(error.status_code, str(error.detail), headers=headers))

    async def invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        first, *more = error.errors()[:FAULTS_SHOWN]
        faults = [words(first), *(f"{_place(fault['loc'])}: {words(fault)}" for fault in more)]
        return present(request, problem(422, "; ".join(faults), where=_place(first["loc"])))

    app.add_middleware(Departures)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(RequestValidationError, invalid)
    for kind in (VQAError, sqlite3.Error, OSError):
        app.add_exception_handler(kind, known)
    app.add_exception_handler(Exception, known)


def _allowed(app: FastAPI, request: Request) -> str:
    """The methods that are described for this path: the framework names those of one route alone."""
    described: dict[str, dict[str, Any]] = app.openapi()["paths"]
    matching = [path for path in described if compile_path(path)[0].match(request.url.path)]
    path = min(matching, key=lambda path: path.count("{"), default="")
    return ", ".join(sorted(method.upper() for method in described.get(path, {})))


def _place(loc: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in (loc[1:] or loc))[:200]


def _is_disk_full(error: Exception) -> bool:
    full = isinstance(error, sqlite3.OperationalError) and "full" in str(error)
    return full or (isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT))


def _writable(text: str) -> str:
    """Text that JSON can carry, whatever a client sent."""
    return text.encode("utf-8", "backslashreplace").decode()
