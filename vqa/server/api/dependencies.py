"""What routes and pages ask for: who calls and what they may touch, names in addresses, what the application holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, TypeVar

from anyio import CapacityLimiter
from fastapi import Depends, Path, Request, Security
from fastapi.security import APIKeyCookie, HTTPBearer

from vqa.errors import JobError
from vqa.jobs.local_service import LocalService
from vqa.jobs.record import Job
from vqa.jobs.uploads.service import Uploads
from vqa.names import LONGEST_NAME, NAME_PATTERN
from vqa.server.ablations import Ablations
from vqa.server.guard import COOKIE
from vqa.server.holdings import Holdings
from vqa.server.pages.layout import Pages
from vqa.server.tokens import Scope, Token
from vqa.server.watched import Watched

BEARER = HTTPBearer(auto_error=False, description="A token of `vqa token add`.")
COOKIES = APIKeyCookie(name=COOKIE, auto_error=False, description="The same, set by `login`.")
"""Only for the interface's description: the guard has looked at both before."""

JobId = Annotated[str, Path(pattern=NAME_PATTERN, max_length=64)]
FileName = Annotated[
    str, Path(pattern=NAME_PATTERN, max_length=LONGEST_NAME, examples=["rank0.log", "metrics"])
]
SplitName = Annotated[str, Path(max_length=200, examples=["val"])]
GroupName = Annotated[str, Path(pattern=NAME_PATTERN, max_length=LONGEST_NAME)]
StoreName = Annotated[str, Path(pattern=NAME_PATTERN, max_length=LONGEST_NAME, examples=["scenes"])]
Held = TypeVar("Held")


@dataclass(frozen=True)
class Caller:
    """Whoever sent a request.

    Attributes:
        service: the service as this user's.
    """

    token: Token
    service: LocalService

    def may_touch(self, job: Job) -> bool:
        """Whether they may end it or queue it again."""
        return self.token.may_touch(job.submission.user)

    def check_may_touch(self, job: str) -> None:
        """Refuse a job that they may not end or queue again.

        Raises:
            JobError: there is no such job, or it is somebody else's (`forbidden`).
        """
        found = self.service.queue.get(job)
        if not self.may_touch(found):
            raise JobError(
                f"is {found.submission.user}'s",
                where=job,
                fix="ask them, or use an admin's token",
                kind="forbidden",
            )


def caller_with(scope: Scope) -> Callable[..., Caller]:
    """A dependency: the caller, whose token must have a scope."""

    def caller(
        request: Request,
        bearer: Annotated[object, Security(BEARER)],
        cookie: Annotated[object, Security(COOKIES)],
    ) -> Caller:
        token: Token = request.state.token
        if not token.may(scope):
            raise JobError(
                f"a token of scope {token.scope} may not do this",
                fix=f"it takes scope {scope}",
                kind="forbidden",
            )
        service: LocalService = request.app.state.service
        return Caller(token, service.as_user(token.name, any_priority=token.may("admin")))

    return caller


Reader = Annotated[Caller, Depends(caller_with("read"))]
Submitter = Annotated[Caller, Depends(caller_with("submit"))]


def held(name: str, kind: type[Held]) -> Callable[[Request], Held]:
    """A dependency: what the application holds under a name."""

    def find(request: Request) -> Held:
        found: Held = getattr(request.app.state, name)
        return found

    return find


OpenHoldings = Annotated[Holdings, Depends(held("holdings", Holdings))]
OpenAblations = Annotated[Ablations, Depends(held("ablations", Ablations))]
OpenUploads = Annotated[Uploads, Depends(held("uploads", Uploads))]
OpenPages = Annotated[Pages, Depends(held("pages", Pages))]
Decoders = Annotated[CapacityLimiter, Depends(held("decoders", CapacityLimiter))]
"""Threads of their own for pictures that come: those that wait for one hold none that others need."""


def watched(request: Request, job: JobId, caller: Reader) -> Watched:
    """A dependency: the job that the address names."""
    return Watched(job, caller.service, request.app.state.opened)


Looked = Annotated[Watched, Depends(watched)]
