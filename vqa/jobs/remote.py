"""A service on another machine: the same methods, over the HTTP interface of `vqa serve`."""

from __future__ import annotations

import os
import re
import secrets
import stat
import time
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, TypeVar

import httpx
from pydantic import BaseModel, TypeAdapter, ValidationError

from vqa.errors import EngineError, JobError
from vqa.faults import NO_KEY
from vqa.jobs.library import refuse_paths
from vqa.jobs.questions import Question, Reply
from vqa.jobs.record import Filter
from vqa.jobs.views import (
    Chunk,
    GroupData,
    GroupView,
    JobDetail,
    JobPage,
    JobView,
    ScoreView,
    StoreView,
    SubmitRequest,
)
from vqa.names import NAME_PATTERN

API = "/api/v1"
DELAYS = (0.2, 0.5, 1.0, 2.0)
"""Seconds before each further try."""
TIMEOUT = httpx.Timeout(30.0, connect=5.0)
STUDY_SECONDS = 1.0
"""Between two looks at a study that is being made."""
BUSY = (502, 503, 504)
KINDS = ("invalid", "not-found", "conflict", "forbidden", "quota", "disk-full")
LOOPBACK = ("127.0.0.1", "localhost", "::1")
ALLOW_HTTP = "VQA_ALLOW_HTTP"
OLDER, UPDATE = "its program is older than this one", "have it updated"
Shape = TypeVar("Shape", bound=BaseModel)


class NoRoute(JobError):
    """Nothing answers at an address: it is none of a vqa server, or of an older one than this."""


class RemoteService:
    """Talks to one server. A request that was lost on the way is sent again; no job is started twice by that.

    Args:
        address: scheme, host and port, and a path where a proxy adds one.
        token: goes to this address and nowhere else.
        delays: before each further try, in seconds.
        transport: instead of the network, for tests.

    Attributes:
        close: closes the connections; called by itself when nobody holds the service any more.

    Raises:
        VQAError: the address is none, or would send the token in the clear.
    """

    def __init__(
        self,
        address: str,
        token: str,
        *,
        delays: Sequence[float] = DELAYS,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        url = check_address(address)
        self.address, self._delays = str(url).rstrip("/"), tuple(delays)
        self._client = httpx.Client(
            base_url=self.address + API,
            headers={"Authorization": f"Bearer {token}", "Accept": "application/json"},
            timeout=TIMEOUT,
            follow_redirects=False,
            trust_env=url.scheme == "https",  # no proxy between this machine and itself
            transport=transport,
        )
        self.close = weakref.finalize(self, self._client.close)

    @property
    def user(self) -> str:
        """The name of the token."""
        return str(self.send("GET", "/me").json()["name"])

    def submit(self, request: SubmitRequest) -> JobView:
        """Check an experiment in full and queue it; it is on the server's disk before this returns."""
        with self._knowing_keys():
            return self.read(JobView, "POST", "/jobs", json=self._ready(request))

    def submit_all(self, requests: Sequence[SubmitRequest]) -> list[JobView]:
        """Several at once, all or none."""
        body = {"jobs": [self._ready(request) for request in requests]}
        with self._knowing_keys():
            return self._read_list(JobView, "POST", "/jobs/batch", json=body)

    def jobs(self, wanted: Filter, limit: int = 100) -> JobPage:
        """Jobs, newest first."""
        return self.read(JobPage, "GET", "/jobs", params=_query(wanted, limit))

    def show(self, job: str) -> JobDetail:
        """All that is known of a job."""
        return self.read(JobDetail, "GET", f"/jobs/{_name(job)}")

    def log(self, job: str, name: str = "rank0.log", offset: int = 0) -> Chunk:
        """What a log file holds from `offset` on."""
        path = f"/jobs/{_name(job)}/logs/{_name(name)}"
        return self.read(Chunk, "GET", path, params={"offset": offset})

    def cancel(self, job: str) -> JobView:
        """Have a job ended."""
        return self.read(JobView, "POST", f"/jobs/{_name(job)}/cancel")

    def resume(self, job: str) -> JobView:
        """Queue an ended, unfinished job again."""
        return self.read(JobView, "POST", f"/jobs/{_name(job)}/resume", repeatable=False)

    def cancel_group(self, group: str) -> list[JobView]:
        """Have every job of a group ended that has not ended."""
        with self.newer("does not cancel groups"):
            return self._read_list(JobView, "POST", f"/groups/{_name(group)}/cancel")

    def retry_group(self, group: str) -> list[JobView]:
        """Queue every job of a group again that failed or was lost."""
        path = f"/groups/{_name(group)}/retry"
        with self.newer("does not resume groups"):
            return self._read_list(JobView, "POST", path, repeatable=False)

    def scores(self, wanted: Filter) -> list[ScoreView]:
        """The best score of each user among some jobs."""
        with self.newer("does not tell best scores"):
            chosen = {"group": wanted.group, "user": wanted.user}
            params = {name: value for name, value in chosen.items() if value is not None}
            return self._read_list(ScoreView, "GET", "/scores", params=params)

    def groups(self) -> list[GroupView]:
        """Groups, newest first."""
        return self._read_list(GroupView, "GET", "/groups")

    def study(self, group: str, form: str = "json") -> str:
        """The comparison of a group's runs, in a form of `vqa.ablation.shelf`; waits until it is made."""
        while True:
            with self.newer("does not compare groups"):
                answer = self.send("GET", f"/groups/{_name(group)}/study", params={"form": form})
            if answer.status_code != httpx.codes.ACCEPTED:
                return answer.text
            time.sleep(STUDY_SECONDS)

    def model(self, job: str, out: IO[bytes]) -> None:
        """Write the exported model of a finished run, as a tar (see `vqa.jobs.parcel`), to a file."""
        try:
            with (
                self.newer("sends no models"),
                self._client.stream("GET", f"/jobs/{_name(job)}/model") as response,
            ):
                if not response.is_success:
                    response.read()
                for piece in self._accept(response).iter_bytes():
                    out.write(piece)
        except httpx.TransportError as error:
            raise self._unreachable(error) from None

    def stores(self) -> list[StoreView]:
        """Stores that a submission may name."""
        return self._read_list(StoreView, "GET", "/stores")

    def fingerprint(self, store: str) -> str | None:
        """Of one of the server's stores; None where it has none of this name."""
        return next((one.fingerprint for one in self.stores() if one.name == store), None)

    def data_of_group(self, group: str) -> dict[str, str]:
        """By job of a group, the fingerprint of the data that it was trained on, or would be now; known ones alone."""
        with self.newer("does not say what a group was trained on"):
            return self.read(GroupData, "GET", f"/groups/{_name(group)}/data").root

    @contextmanager
    def newer(self, what: str, fix: str = UPDATE) -> Iterator[None]:
        """Say it where a server is older than what it is asked for.

        Raises:
            EngineError: it is.
        """
        try:
            yield
        except NoRoute:
            self.send("GET", "/me")  # whether it is a server of ours at all
            raise EngineError(f"{what}: {OLDER}", where=self.address, fix=fix) from None

    @contextmanager
    def _knowing_keys(self) -> Iterator[None]:
        """Say it where a server is older than an experiment, whose keys were checked here before it is sent."""
        try:
            yield
        except JobError as error:
            if NO_KEY not in error.what:
                raise
            what = f"{self.address} does not know all settings of this experiment: {OLDER} ({error.what})"
            raise JobError(what, where=error.where, fix=UPDATE, kind=error.kind) from None

    def ask(self, question: Question) -> Reply:
        """Put a question to the model of a finished run."""
        body = question.model_dump(mode="json", exclude_none=True)
        return self.read(Reply, "POST", "/ask", json=body)

    def _ready(self, request: SubmitRequest) -> dict[str, Any]:
        """What is sent; under a key always, so that sending it again cannot run it twice."""
        refuse_paths(request.experiment, self.address)
        key = request.key or f"auto-{secrets.token_hex(16)}"
        return request.model_copy(update={"key": key}).model_dump(mode="json", exclude_none=True)

    def read(self, shape: type[Shape], method: str, path: str, **sent: Any) -> Shape:
        """A good answer in its shape; see `send`."""
        content = self.send(method, path, **sent).content
        try:
            return shape.model_validate_json(content, extra="ignore")
        except ValidationError as error:
            raise self._foreign(error) from None

    def _read_list(self, shape: type[Shape], method: str, path: str, **sent: Any) -> list[Shape]:
        content = self.send(method, path, **sent).content
        try:
            return TypeAdapter(list[shape]).validate_json(content, extra="ignore")  # type: ignore[valid-type]
        except ValidationError as error:
            raise self._foreign(error) from None

    def _foreign(self, error: ValidationError) -> EngineError:
        return EngineError(
            f"answers in another language ({error.error_count()} fields do not fit)",
            where=self.address,
            fix="VQA_SERVER must name a `vqa serve` of this version",
        )

    def send(
        self, method: str, path: str, *, repeatable: bool = True, **sent: Any
    ) -> httpx.Response:
        """A good answer; tried again where that can do no harm."""
        for delay in (*self._delays, None):
            try:
                response = self._client.request(method, path, **sent)
            except httpx.TransportError as error:
                never_sent = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
                if delay is None or not (repeatable or never_sent):
                    raise self._unreachable(error) from None
            else:
                if delay is None or response.status_code not in BUSY or not repeatable:
                    return self._accept(response)
            time.sleep(delay)
        raise AssertionError  # the last round returned or raised

    def _unreachable(self, error: httpx.TransportError) -> EngineError:
        return EngineError(
            f"cannot be reached ({str(error) or type(error).__name__})",
            where=f"VQA_SERVER={self.address}",
            fix="start `vqa serve` there, or unset VQA_SERVER to run jobs on this machine",
            temporary=True,
        )

    def _accept(self, response: httpx.Response) -> httpx.Response:
        """The answer, or the error that it describes.

        Raises:
            JobError: what the server says of the request.
            EngineError: the server failed, or is none of ours.
        """
        if response.is_success:
            return response
        if response.is_redirect:
            target = response.headers.get("location", "?")
            raise EngineError(
                f"sends us on to {target!r}; the token goes nowhere else",
                where=self.address,
                fix="set VQA_SERVER to the address that is meant",
            )
        problem = _problem(response)
        missing = response.status_code == 404 and not _is_of_ours(problem)
        if missing or response.status_code == 405:
            raise NoRoute(
                f"no vqa server answers at that address ({response.status_code})",
                where=f"VQA_SERVER={self.address}",
                fix="write it as https://host:port, with a path only where a proxy adds one",
            )
        what, where = str(problem.get("detail") or problem.get("title")), problem.get("where")
        if response.status_code == 401:
            fix = "put a token of `vqa token add` there into the file of VQA_TOKEN_FILE"
            raise JobError(what, where=self.address, fix=fix, kind="forbidden")
        kind = problem.get("kind")
        if response.is_server_error and kind not in KINDS:
            raise EngineError(what, where=self.address, fix="see the server's log")
        kind = kind if kind in KINDS else "invalid"
        raise JobError(what, where=str(where or ""), fix=str(problem.get("fix") or ""), kind=kind)


def check_address(address: str) -> httpx.URL:
    """The server's address.

    Raises:
        VQAError: it is none, or a token would cross a network in the clear.
    """
    try:
        url = httpx.URL(address)
    except httpx.InvalidURL as error:
        raise JobError(f"no address ({error})", where="VQA_SERVER") from None
    if url.scheme not in ("http", "https") or not url.host or url.userinfo or url.query:
        raise JobError(
            f"{address!r} is no server's address",
            where="VQA_SERVER",
            fix="write it as https://host:port",
        )
    if url.scheme == "http" and url.host not in LOOPBACK and os.environ.get(ALLOW_HTTP) != "1":
        raise JobError(
            f"{address} would send the token in the clear",
            where="VQA_SERVER",
            fix=f"use https, or `ssh -L 8000:127.0.0.1:8000 {url.host}` and http://127.0.0.1:8000; "
            f"{ALLOW_HTTP}=1 where the network is private",
        )
    return url


def read_token(file: Path) -> str:
    """The token that a file holds.

    Raises:
        VQAError: there is no such file, others may read it, or it holds no token.
    """
    try:
        with file.open(encoding="ascii") as opened:
            mode = stat.S_IMODE(os.fstat(opened.fileno()).st_mode)
            token = opened.read(1000).strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not text"
        raise JobError(
            f"the token cannot be read ({reason.lower()})",
            where=str(file),
            fix="put the token that `vqa token add` gave you there, or name its file in VQA_TOKEN_FILE",
            kind="forbidden",
        ) from None
    if mode & 0o077:
        raise JobError(
            f"others may read the token (mode {mode:04o})",
            where=str(file),
            fix=f"chmod 600 {file}",
            kind="forbidden",
        )
    if not re.fullmatch(r"[!-~]+", token):
        raise JobError("holds no token", where=str(file), kind="forbidden")
    return token


def _name(text: str) -> str:
    """A job's id or a log's name as part of an address.

    Raises:
        JobError: it is none.
    """
    if not re.fullmatch(NAME_PATTERN, text):
        raise JobError(f"no job or log {text!r}", fix="see `vqa jobs`", kind="not-found")
    return text


def _query(wanted: Filter, limit: int) -> dict[str, Any]:
    """A filter as an address carries it."""
    single = {
        "group": wanted.group,
        "user": wanted.user,
        "engine": wanted.engine,
        "before": wanted.before,
        "prefix": wanted.prefix,
    }
    query: dict[str, Any] = {key: value for key, value in single.items() if value is not None}
    states = [] if wanted.states is None else [str(state) for state in wanted.states]
    return query | {"limit": limit} | ({"state": states} if states else {})


def _is_of_ours(problem: Mapping[str, Any]) -> bool:
    """Whether a route of the interface answered; where there is none, only the framework's own words come."""
    return problem.get("kind") in KINDS and problem.get("detail") != "Not Found"


def _problem(response: httpx.Response) -> Mapping[str, Any]:
    """What an answer of the type `application/problem+json` says; a substitute where it is none."""
    try:
        problem = response.json()
    except ValueError:
        problem = None
    substitute = {"title": f"the server answered {response.status_code}"}
    return problem if isinstance(problem, dict) else substitute
