"""What every request passes before the application sees it: host, origin, token, size, form.

Pure ASGI, so that nothing behind it can forget to ask, and streams pass through untouched.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import anyio
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vqa.data.image import DEFAULT_LIMITS
from vqa.errors import VQAError
from vqa.server.problems import describe, problem
from vqa.server.strict_json import check_json
from vqa.server.tokens import Tokens

COOKIE = "vqa_token"
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
OPEN = frozenset({"/api/v1/health", "/api/v1/login", "/login"})
"""Paths that need no token."""
OPEN_FOLDER = "/static/"
"""The files that pages load hold nothing of anybody's."""
NAMES_OF_TOKENS = frozenset({"token", "access_token", "api_key", "authorization", COOKIE})
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
BODY_BYTES, BODY_SECONDS = 4 << 20, 30.0
PICTURE_BYTES = 24 << 20
PICTURES = frozenset({"/api/v1/ask"})
"""Paths whose bodies carry a picture, and how large those may be."""
UPLOADS = re.compile(r"/api/v1/uploads/[^/]+/pictures/[^/]+")
"""Paths whose bodies are a picture's file as it is, and nothing else."""
UPLOAD_BYTES, UPLOAD_SECONDS = DEFAULT_LIMITS.file_bytes, 600.0
MOST_UPLOADS = 16
"""Pictures of a user that are taken at a time: each is held in memory. Further ones wait."""
LARGE_BYTES, MOST_LARGE = 1 << 20, 32
"""Of pictures of more bytes, or of a size that is not told, so many of all users are taken at a time."""
INLINE_BYTES = 1 << 16
"""A larger body is checked in a thread of its own, so that it holds up nobody."""


@dataclass(frozen=True)
class Hosts:
    """The names under which the server is called, as a browser writes them into `Host`.

    A name of somebody else's that points here (DNS rebinding) is none of them.

    Attributes:
        port: of the server; the loopback names go with it alone.
        allowed: further names, with a port or for any.
    """

    port: int
    allowed: frozenset[str] = frozenset()

    @classmethod
    def of(cls, port: int, allowed: Iterable[str] = ()) -> Hosts:
        """Names as people write them."""
        return cls(port, frozenset(name.lower() for name in allowed))

    def admits(self, host: str) -> bool:
        """Whether a `Host` header means this server."""
        host = host.lower()
        name, port = _split(host)
        loopback = name in ("127.0.0.1", "localhost", "[::1]")
        return host in self.allowed or name in self.allowed or (loopback and port == self.port)


class Guard:
    """The outermost layer.

    Args:
        app: what is guarded.
        hosts: see `Hosts`.
        tokens: who may come in.
        body_seconds: how long a request may take to arrive.
    """

    def __init__(
        self,
        app: ASGIApp,
        hosts: Hosts,
        tokens: Tokens,
        *,
        body_seconds: float = BODY_SECONDS,
    ) -> None:
        self.app, self._hosts, self._tokens = app, hosts, tokens
        self._body_seconds = body_seconds
        self._seats: dict[str, anyio.Semaphore] = {}
        self._large = anyio.Semaphore(MOST_LARGE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a bad request, hand on a good one."""
        if scope["type"] == "lifespan":
            return await self.app(scope, receive, send)
        if scope["type"] != "http":
            return await send({"type": "websocket.close", "code": 1008})
        send = _with_headers(send)
        refusal = self._refusal(scope)
        if refusal is not None:
            return await refusal(scope, receive, send)
        async with self._seat(scope), self._large_seat(scope):
            body = await self._body(scope, receive)
            if not isinstance(body, Response):
                return await self.app(scope, _replay(body, receive), send)
            return await body(scope, receive, send)

    def _seat(self, scope: Scope) -> AbstractAsyncContextManager[object]:
        """Held by a request with a picture until that is dealt with; until one is free, its body is left unread."""
        if not _is_upload(scope):
            return nullcontext()
        user = scope["state"]["token"].name
        return self._seats.setdefault(user, anyio.Semaphore(MOST_UPLOADS))

    def _large_seat(self, scope: Scope) -> AbstractAsyncContextManager[object]:
        """As `_seat`, where a picture is large: of small ones many users' are held in little memory."""
        length = Headers(scope=scope).get("content-length", "")
        small = length.isdecimal() and int(length) <= LARGE_BYTES
        return nullcontext() if small or not _is_upload(scope) else self._large

    def _refusal(self, scope: Scope) -> Response | None:
        """What is wrong with a request's head; None where nothing is. Notes who asks in `state`."""
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not self._hosts.admits(hosts[0]):
            return problem(
                421,
                "this server has another name",
                kind="forbidden",
                fix="call it as 127.0.0.1 or localhost, or start it with --allow-host NAME",
            )
        cookie = cookie_parser(headers.get("cookie", "")).get(COOKIE)
        if (cookie or scope["method"] not in SAFE) and _is_foreign(headers, hosts[0]):
            return problem(403, "another site's page may not ask for this", kind="forbidden")
        if any(name.lower() in NAMES_OF_TOKENS for name, _ in _query(scope)):
            return problem(
                400,
                "a token never stands in an address, where logs and histories keep it",
                fix="send it as `Authorization: Bearer TOKEN`, and replace this one",
            )
        return self._identify(scope, headers, cookie)

    def _identify(self, scope: Scope, headers: Headers, cookie: str | None) -> Response | None:
        """Note whose token came along; refuse who has none and needs one."""
        if scope["path"] in OPEN or scope["path"].startswith(OPEN_FOLDER):
            return None
        text = _bearer(headers) or ("" if "authorization" in headers else cookie or "")
        try:
            token = self._tokens.find(text)
        except (VQAError, OSError) as error:  # their file is damaged: nobody comes in
            return describe(error)
        if token is None and _asks_for_page(scope, headers):
            return RedirectResponse(f"/login?{urlencode({'next': _address(scope)})}", 303)
        if token is None:
            return problem(
                401,
                "no valid token",
                fix="send `Authorization: Bearer TOKEN`; `vqa serve` says where the owner's is",
                headers={"WWW-Authenticate": "Bearer"},
            )
        scope.setdefault("state", {})["token"] = token
        return None

    async def _body(self, scope: Scope, receive: Receive) -> bytes | Response:
        """The whole body, or what is wrong with it."""
        headers = Headers(scope=scope)
        most, seconds = self._limits(scope)
        too_large = problem(413, f"a body may have up to {most} bytes", kind="too-large")
        length = headers.get("content-length", "0")
        if length.isdigit() and int(length) > most:
            return too_large
        try:
            with anyio.fail_after(seconds):
                body = await _read(receive, most)
        except TimeoutError:
            return problem(408, "the body did not come in time", kind="timeout")
        if body is None:
            return too_large
        if _is_upload(scope):
            return _kind_fault(headers, body) or body
        return await _form_fault(headers, body) or body

    def _limits(self, scope: Scope) -> tuple[int, float]:
        """How large a body may be, and how long it may take to arrive."""
        if _is_upload(scope):
            return UPLOAD_BYTES, UPLOAD_SECONDS
        return PICTURE_BYTES if scope["path"] in PICTURES else BODY_BYTES, self._body_seconds


def _is_upload(scope: Scope) -> bool:
    """Whether the body is a picture's file."""
    return scope["method"] == "PUT" and UPLOADS.fullmatch(scope["path"]) is not None


def _kind(headers: Headers) -> str:
    return headers.get("content-type", "").partition(";")[0].strip().lower()


def _kind_fault(headers: Headers, body: bytes) -> Response | None:
    """Refuse a picture that does not come as plain bytes."""
    if not body or _kind(headers) == "application/octet-stream":
        return None
    fix = "send `Content-Type: application/octet-stream`"
    return problem(415, "a picture is sent as its file's bytes", fix=fix)


async def _form_fault(headers: Headers, body: bytes) -> Response | None:
    """Refuse a body that is not strict JSON."""
    if not body:
        return None
    if _kind(headers) != "application/json":
        return problem(415, "a body is JSON", fix="send `Content-Type: application/json`")
    try:
        if len(body) < INLINE_BYTES:
            check_json(body)
        else:
            await anyio.to_thread.run_sync(check_json, body)
    except (ValueError, RecursionError) as error:
        return problem(400, f"no plain JSON: {error}"[:300])
    return None


async def _read(receive: Receive, limit: int) -> bytes | None:
    """The whole body; None where it is larger than the limit, or where its sender has gone."""
    parts, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":  # what came is no whole body
            return None
        part = message.get("body", b"")
        size += len(part)
        if size > limit:
            return None
        parts.append(part)
        more = message.get("more_body", False)
    return b"".join(parts)


def _replay(body: bytes, receive: Receive) -> Receive:
    """A channel that gives the body at once, then what else comes."""
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> Message:
        return waiting.pop() if waiting else await receive()

    return replayed


def _with_headers(send: Send) -> Send:
    """Every answer says that a browser is to trust it with nothing."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return sending


def _is_foreign(headers: Headers, host: str) -> bool:
    """Whether a browser says that another site's page sent a request."""
    if headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
        return True
    return any(_site(origin) != host.lower() for origin in headers.getlist("origin"))


def _site(origin: str) -> str:
    """The host of an `Origin`; empty, which is no server's, where it has none or is no address."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


def _asks_for_page(scope: Scope, headers: Headers) -> bool:
    """Whether a person's browser is on its way to a page: they are asked in, programs are told."""
    is_page = not scope["path"].startswith("/api/") and scope["method"] in ("GET", "HEAD")
    return is_page and "text/html" in headers.get("accept", "")


def _address(scope: Scope) -> str:
    """Path and query, as the browser asked for them."""
    query = scope["query_string"].decode("latin-1")
    path = quote(scope["path"])
    return f"{path}?{query}" if query else path


def _bearer(headers: Headers) -> str:
    values = headers.getlist("authorization")
    scheme, _, text = values[0].partition(" ") if len(values) == 1 else ("", "", "")
    return text.strip() if scheme.lower() == "bearer" else ""


def _query(scope: Scope) -> list[tuple[str, str]]:
    return parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)


def _split(host: str) -> tuple[str, int]:
    """Name and port; the port of plain HTTP where it has none, −1 where it is no number."""
    name, colon, port = host.rpartition(":")
    if not colon or host.endswith("]"):
        return host, 80
    return name, int(port) if port.isascii() and port.isdigit() and len(port) < 6 else -1
