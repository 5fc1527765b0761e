"""An HTTP server of one's own, on a real socket, that can misbehave."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from vqa.data.published import fetch
from vqa.data.published.facts import Remote


@dataclass
class Shelf:
    """What a server has, and how it behaves.

    Attributes:
        files: bytes by path.
        ranges: whether it honours Range.
        tags: whether it sends ETag.
        breaks: after how many bytes it breaks each of the next connections off.
        statuses: answers to the next requests, instead of files.
        lengths: whether it says how long an answer is.
        packed: whether it says that its answers are gzipped.
        redirects: where a path leads.
        asked: every request: method, path, Range.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    ranges: bool = True
    tags: bool = True
    breaks: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    lengths: bool = True
    packed: bool = False
    redirects: dict[str, str] = field(default_factory=dict)
    asked: list[tuple[str, str, str | None]] = field(default_factory=list)
    address: str = ""

    def remote(self, path: str, **more: Any) -> Remote:
        return Remote(f"{self.address}/{path}", path, **more)

    @property
    def gets(self) -> list[str | None]:
        """The Range of every GET."""
        return [ranges for method, _, ranges in self.asked if method == "GET"]


class Handler(BaseHTTPRequestHandler):
    """Answers as the shelf says."""

    shelf: Shelf
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self.answer(send=False)

    def do_GET(self) -> None:
        self.answer(send=True)

    def log_message(self, *_: object) -> None:
        pass

    def answer(self, send: bool) -> None:
        shelf, path = self.shelf, self.path.lstrip("/")
        shelf.asked.append((self.command, path, self.headers["Range"]))
        if send and shelf.statuses:
            return self.bare(shelf.statuses.pop(0))
        if path in shelf.redirects:
            return self.bare(302, Location=shelf.redirects[path])
        if path not in shelf.files:
            return self.bare(404)
        return self.file(shelf.files[path], send)

    def bare(self, status: int, **headers: str) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": "0"}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def file(self, content: bytes, send: bool) -> None:
        tag = f'"{hashlib.sha256(content).hexdigest()[:12]}"'
        first = self.first(tag)
        if first is not None and first >= len(content):
            return self.bare(416, Content_Range=f"bytes */{len(content)}")
        self.send_response(200 if first is None else 206)
        body = content[first or 0 :]
        if first is not None:
            end = f"{first}-{len(content) - 1}/{len(content)}"
            self.send_header("Content-Range", f"bytes {end}")
        if self.shelf.tags:
            self.send_header("ETag", tag)
        if self.shelf.lengths:
            self.send_header("Content-Length", str(len(body)))
        if self.shelf.packed:
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Connection", "close")
        self.close_connection = True
        self.end_headers()
        if send:
            cut = self.shelf.breaks.pop(0) if self.shelf.breaks else len(body)
            self.wfile.write(body[:cut])
        return None

    def first(self, tag: str) -> int | None:
        """The first byte that is asked for, where the rest of this version is."""
        match = re.fullmatch(r"bytes=(\d+)-", self.headers["Range"] or "")
        if not match or not self.shelf.ranges or self.headers["If-Range"] != tag:
            return None
        return int(match[1])


@pytest.fixture
def shelf(monkeypatch: pytest.MonkeyPatch) -> Iterator[Shelf]:
    """A server with nothing on it, that is not waited for."""
    monkeypatch.setattr(fetch, "PAUSE", 0.0)
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    made = Shelf()
    handler = type("ShelfHandler", (Handler,), {"shelf": made})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    made.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    server.shutdown()
    thread.join()
    server.server_close()
