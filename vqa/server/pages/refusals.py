"""Errors as pages, for whoever asked with a browser."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from fastapi import Request
from starlette.responses import Response

if TYPE_CHECKING:
    from vqa.server.pages.layout import Pages


def presented(request: Request, response: Response) -> Response:
    """An error as the one who asked can read it: a page for a browser, the problem itself for a program."""
    if not wants_page(request):
        return response
    pages: Pages = request.app.state.pages
    problem = json.loads(bytes(response.body))
    return pages.page(request, "error.html.j2", response.status_code, problem=problem)


def wants_page(request: Request) -> bool:
    """Whether a browser asks for a page, and not a script for data."""
    accepts = request.headers.get("accept", "")
    return not request.url.path.startswith("/api/") and "text/html" in accepts
