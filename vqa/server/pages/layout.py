"""How a page is made: one template environment, in which every text is escaped, and one policy for all pages, those of
errors among them."""

from __future__ import annotations

import datetime
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse
from markupsafe import Markup, escape
from starlette.responses import Response

import vqa
from vqa.evaluation.standalone import environment
from vqa.formatting import size
from vqa.server.pages.assets import Assets

TEMPLATES = Path(__file__).parents[1] / "templates"
EMPTY_STYLE = "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"
"""The hash of nothing: plotly makes an empty style element and adds its rules by script."""

POLICY = (
    f"default-src 'none'; script-src 'self'; style-src 'self' {EMPTY_STYLE}; img-src 'self' data: blob:;"
    " connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
"""No page runs a script or a style that is not a file of this server, or asks anybody else for anything."""

DIVERGED = 1e9
"""A loss, a norm or a score of this size is read by its power of ten alone."""
CODE = re.compile(r"`([^`\n]+)`")
PLACES = (
    ("/jobs", "Jobs"),
    ("/ablations", "Ablations"),
    ("/ask", "Ask"),
    ("/data", "Data"),
)
"""The pages of the navigation."""


class Pages:
    """Makes pages from templates.

    Args:
        assets: the files that pages load.
    """

    def __init__(self, assets: Assets) -> None:
        self._environment = environment(TEMPLATES)
        self._environment.globals |= {
            "asset": assets.address,
            "plotly_styles": lambda: assets.plotly_styles,
            "places": PLACES,
            "version": vqa.__version__,
        }
        self._environment.filters |= {
            "seconds": seconds_text,
            "moment": moment_text,
            "moment_iso": moment_iso,
            "figure": figure_text,
            "signed": signed_text,
            "code": code_markup,
            "bytes": bytes_text,
            "tally": tally,
        }

    def page(
        self, request: Request, template: str, status: int = 200, **context: Any
    ) -> HTMLResponse:
        """A whole page, or the piece of one that a script puts in its place."""
        text = self.text(request, template, **context)
        return HTMLResponse(text, status, {"Content-Security-Policy": POLICY})

    def text(self, request: Request, template: str, **context: Any) -> str:
        """The same as text."""
        token = getattr(request.state, "token", None)
        values: Mapping[str, Any] = {"token": token, "path": request.url.path, **context}
        return self._environment.get_template(template).render(values)


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


def seconds_text(seconds: float | None) -> str:
    """ "42 s", "3 min 5 s", "2 h 4 min", "3 d 4 h"; a dash for None."""
    if seconds is None:
        return "–"
    whole = round(max(0.0, seconds))
    for unit, name, smaller, small_name in (
        (86_400, "d", 3600, "h"),
        (3600, "h", 60, "min"),
        (60, "min", 1, "s"),
    ):
        if whole >= unit:
            return f"{whole // unit} {name} {whole % unit // smaller} {small_name}"
    return f"{whole} s"


def moment_text(moment: float | None) -> str:
    """A Unix time in UTC, to the minute; the page's script shows it in the reader's zone."""
    return "–" if moment is None else f"{_utc(moment):%Y-%m-%d %H:%M} UTC"


def moment_iso(moment: float) -> str:
    """A Unix time as machines read it."""
    return f"{_utc(moment):%Y-%m-%dT%H:%M:%SZ}"


def figure_text(value: float | None, digits: int = 2) -> str:
    """A figure with so many digits behind the point and thin spaces between thousands; a dash for None.

    One that diverged is told by its power of ten; a count, without digits behind the point, is told whole.
    """
    if value is not None and digits and abs(value) >= DIVERGED:
        return f"{value:.3e}"
    return "–" if value is None else f"{value:,.{digits}f}".replace(",", "\u202f")


def signed_text(value: float, digits: int = 2) -> str:
    """A figure with its sign; what rounds to nothing is +0."""
    return f"{value:+z.{digits}f}"


def code_markup(text: str) -> Markup:
    """A text with what stands between backticks as code; all of it is escaped."""
    return Markup(CODE.sub(r"<code>\1</code>", str(escape(text))))


def bytes_text(count: float | None) -> str:
    """ "812 B", "4.2 MB"; a dash for None."""
    return "–" if count is None else size(count)


def tally(values: Iterable[str]) -> list[tuple[str, int]]:
    """Each value with how often it stands there, most frequent first."""
    return Counter(values).most_common()


def _utc(moment: float) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(moment, tz=datetime.UTC)
