"""The way in: a page where a token is given once, and the front door."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse

from vqa.server.api.dependencies import OpenPages

router = APIRouter(include_in_schema=False)


@router.get("/")
def front() -> RedirectResponse:
    """The queue is what people come for."""
    return RedirectResponse("/jobs", 303)


@router.get("/login")
def login(request: Request, made: OpenPages) -> HTMLResponse:
    """Asks for a token; takes a code behind # without asking, and whoever is known goes on at once."""
    return made.page(request, "login.html.j2")
