"""Who asks, and what for: what the routes share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Path, Request, Security
from fastapi.security import APIKeyCookie, HTTPBearer

from vqa.errors import JobError
from vqa.jobs.local_service import LocalService
from vqa.names import LONGEST_NAME, NAME_PATTERN
from vqa.server.guard import COOKIE
from vqa.server.tokens import Scope, Token

BEARER = HTTPBearer(auto_error=False, description="A token of `vqa token add`.")
COOKIES = APIKeyCookie(name=COOKIE, auto_error=False, description="The same, set by `login`.")
"""Only for the interface's description: the guard has looked at both before."""

JobId = Annotated[str, Path(pattern=NAME_PATTERN, max_length=64)]
FileName = Annotated[
    str, Path(pattern=NAME_PATTERN, max_length=LONGEST_NAME, examples=["rank0.log", "metrics"])
]
SplitName = Annotated[str, Path(max_length=200, examples=["val"])]


@dataclass(frozen=True)
class Caller:
    """Whoever sent a request.

    Attributes:
        service: the service as this user's.
    """

    token: Token
    service: LocalService

    def check_owns(self, job: str) -> None:
        """Let nobody but an admin touch another user's job.

        Raises:
            JobError: there is no such job, or it is somebody else's (`forbidden`).
        """
        owner = self.service.queue.get(job).submission.user
        if owner != self.token.name and not self.token.may("admin"):
            raise JobError(
                f"is {owner}'s",
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
