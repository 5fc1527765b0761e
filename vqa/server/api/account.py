"""Health, who one is, and the browser's cookie."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

import vqa
from vqa.server.api.asking import Reader
from vqa.server.guard import COOKIE
from vqa.server.problems import problem
from vqa.server.tokens import Scope, Tokens

MONTH = 30 * 86_400
router = APIRouter(tags=["account"])


class Login(BaseModel):
    """A token, for a cookie that holds it."""

    model_config = ConfigDict(extra="forbid")

    token: str = Field(min_length=1, max_length=200)


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
    if tokens.find(body.token) is None:
        return problem(401, "no valid token", headers={"WWW-Authenticate": "Bearer"})
    response = Response(status_code=204)
    response.set_cookie(
        COOKIE,
        body.token,
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
