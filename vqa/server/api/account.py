"""Health, who one is, and the browser's cookie."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field, model_validator

import vqa
from vqa.server.api.dependencies import Reader
from vqa.server.codes import Codes
from vqa.server.guard import COOKIE
from vqa.server.problems import problem
from vqa.server.tokens import Scope, Tokens

MONTH = 30 * 86_400
USED_CODE = "the code was used, or is too old", "sign in with a token, or start `vqa serve` anew"
NO_TOKEN = "no valid token", "`vqa token add NAME` on the server's machine makes one"
router = APIRouter(tags=["account"])


class Login(BaseModel):
    """A token, for a cookie that holds it; or a code of `vqa serve`, which stands for the owner's token once."""

    model_config = ConfigDict(extra="forbid")

    token: str | None = Field(default=None, min_length=1, max_length=200)
    code: str | None = Field(default=None, min_length=1, max_length=200)

    @model_validator(mode="after")
    def _one_of_both(self) -> Login:
        if (self.token is None) == (self.code is None):
            raise ValueError("give token or code")
        return self


class Me(BaseModel):
    """Who the server takes the caller for, and its own version."""

    name: str
    scope: Scope
    version: str


@router.get("/health", status_code=204)
async def health() -> None:
    """Whether the server answers. It needs no token and says nothing."""


@router.post("/login", status_code=204)
def login(request: Request, body: Login) -> Response:
    """Put a valid token into a cookie that no script can read and no other site can send."""
    tokens: Tokens = request.app.state.tokens
    codes: Codes = request.app.state.codes
    text = codes.redeem(body.code) if body.code else body.token
    if text is None or tokens.find(text) is None:
        what, fix = USED_CODE if body.code else NO_TOKEN
        return problem(401, what, fix=fix, headers={"WWW-Authenticate": "Bearer"})
    response = Response(status_code=204)
    response.set_cookie(
        COOKIE,
        text,
        max_age=MONTH,
        path="/",
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )
    return response


@router.post("/logout", status_code=204)
def logout(caller: Reader) -> Response:
    """Drop the cookie."""
    response = Response(status_code=204)
    response.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")
    return response


@router.get("/me")
def me(caller: Reader) -> Me:
    """Who the server takes the caller for."""
    return Me(name=caller.token.name, scope=caller.token.scope, version=vqa.__version__)
