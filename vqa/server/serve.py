"""`vqa serve`: the HTTP interface and the dispatcher in one process."""

from __future__ import annotations

import logging
import os
import re
import signal
import socket
import sys
import threading
import webbrowser
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

import uvicorn
from typing_extensions import override

from vqa.errors import InputError
from vqa.jobs.home import Home
from vqa.machine import allow_files
from vqa.server.app import create_app
from vqa.server.codes import LIFE_SECONDS, Codes
from vqa.server.guard import Hosts
from vqa.server.tokens import ensure_owner

HOST_NAME = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[\w.-]+)(:\d{1,5})?")
LOOPBACK = ("127.0.0.1", "localhost", "::1")
SECONDS_TO_END = 5
MOST_CONNECTIONS, MOST_FILES = 1000, 16_384
"""A connection is a file, as are the queue in each thread, stores and pipes; with none left nothing is answered."""
log = logging.getLogger(__name__)
Work = Callable[[threading.Event], None]


def serve(
    home: Home,
    host: str = "127.0.0.1",
    port: int = 8000,
    allow_hosts: Sequence[str] = (),
    *,
    dispatch: bool = True,
    stop_jobs: bool = False,
    browse: bool = False,
) -> None:
    """Serve until told to stop.

    Args:
        home: made where it is missing.
        host, port: where to listen; port 0 takes a free one.
        allow_hosts: names beside those of this machine under which clients call the server.
        dispatch: also hand jobs to engines, one dispatcher at a time.
        stop_jobs: jobs on this machine save and stop before this returns; otherwise they go on.
        browse: open the pages in this machine's browser, signed in.

    Raises:
        InputError: the address cannot be used, or is open to a network whose names were not allowed; or what is allowed
            is no name.
    """
    _check(host, allow_hosts)
    allow_files(MOST_FILES)
    token_file = ensure_owner(home.make())
    stop = threading.Event()
    with listen(host, port) as listener, _handled(stop):
        port = listener.getsockname()[1]
        codes = Codes(token_file)
        server = Server(create_app(home, Hosts.of(port, allow_hosts), stop, codes), stop)
        worker = Worker(_dispatcher(home, stop_jobs), stop, server) if dispatch else None
        address = f"http://{_shown(host)}:{port}"
        print(f"vqa: {address}; the token is in {token_file}", file=sys.stderr)
        _invite(address, codes, browse=browse)
        try:
            server.run(sockets=[listener])
        finally:
            stop.set()
            if worker is not None:
                worker.join()
    if worker is not None and worker.error is not None:
        raise worker.error


class Server(uvicorn.Server):
    """uvicorn, which also tells streams and the dispatcher that it is about to end."""

    def __init__(self, app: object, stop: threading.Event) -> None:
        super().__init__(
            uvicorn.Config(
                app,  # type: ignore[arg-type]
                http="h11",
                ws="none",
                lifespan="on",
                log_config=None,
                access_log=False,  # addresses are nobody's business
                server_header=False,
                proxy_headers=False,
                timeout_keep_alive=15,
                timeout_graceful_shutdown=SECONDS_TO_END,
                limit_concurrency=MOST_CONNECTIONS,
                h11_max_incomplete_event_size=1 << 18,  # ids of data may be long
            )
        )
        self._stop = stop

    @override
    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal to end."""
        self._stop.set()
        super().handle_exit(sig, frame)


class Worker:
    """The dispatcher in a thread; without it the server would take jobs that nobody runs, so they end together."""

    def __init__(self, work: Work, stop: threading.Event, server: Server) -> None:
        self._work, self._stop, self._server = work, stop, server
        self.error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="dispatcher")
        self._thread.start()

    def join(self) -> None:
        """Wait for its end."""
        self._thread.join()

    def _run(self) -> None:
        try:
            self._work(self._stop)
        except Exception as error:  # raised again by `serve`
            log.exception("the dispatcher has failed")
            self.error, self._server.should_exit = error, True
            self._stop.set()


def _dispatcher(home: Home, stop_jobs: bool) -> Work:
    from vqa.jobs.dispatcher import Dispatcher

    return lambda stop: Dispatcher(home, stop_jobs=stop_jobs).run(stop)


def _check(host: str, allow_hosts: Sequence[str]) -> None:
    for name in allow_hosts:
        if not HOST_NAME.fullmatch(name):  # no client would ever call it so
            fix = "give the name in the address alone, such as vqa.example.org or gpu-box:8000"
            raise InputError(f"{name!r} is no name of a machine", where="--allow-host", fix=fix)
    if host not in LOOPBACK and not allow_hosts:
        raise InputError(
            f"{host} is open to a network",
            where="--host",
            fix="say with --allow-host NAME what clients call this server; put TLS in front of it",
        )


def listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With its protocol named: only then asyncio sends small answers at once (40 ms sooner).
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # Connections have it of their listener: those of machines that have gone without a word end some day.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    try:
        listener.bind((host, port))
        listener.listen(2048)
    except (OSError, OverflowError) as error:
        listener.close()
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(
            f"cannot listen there ({reason.lower()})",
            where=f"{_shown(host)}:{port}",
            fix="choose another --port",
        ) from None
    return listener


def _invite(address: str, codes: Codes, *, browse: bool) -> None:
    """Let whoever sits at this machine in without copying a token: by a code that holds once, for minutes."""
    if browse and _has_screen() and webbrowser.open(f"{address}/login#{codes.new()}"):
        return
    if browse or sys.stderr.isatty():  # not into a log file
        minutes = round(LIFE_SECONDS / 60)
        print(
            f"vqa: to sign in once, within {minutes} minutes: {address}/login#{codes.new()}",
            file=sys.stderr,
        )


def _has_screen() -> bool:
    """Whether a browser would have a window: without one, a terminal's browser would take this terminal."""
    return sys.platform == "darwin" or any(
        os.environ.get(n) for n in ("DISPLAY", "WAYLAND_DISPLAY")
    )


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host


@contextmanager
def _handled(stop: threading.Event) -> Iterator[None]:
    """TERM and INT end the server and then this function, not the process: there is cleaning up to do."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = [signal.signal(number, lambda *_: stop.set()) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
