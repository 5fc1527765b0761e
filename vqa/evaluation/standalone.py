"""HTML from templates in which every text is escaped, and pages that are whole by themselves: no script, no request."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment


def environment(folder: Path) -> Environment:
    """The templates of a folder."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def standalone(
    template: Path,
    *,
    sources: str = "",
    filters: Mapping[str, Callable[..., Any]] | None = None,
    **context: Any,
) -> Iterator[str]:
    """A page that needs no script and no request, in pieces.

    Args:
        template: NAME.html.j2, with NAME.css beside it; is given `style` and `policy`, which allows nothing but that
            style sheet, by its hash.
        sources: what the policy allows beside it, such as `img-src data:; `.
        filters: of the template.
        context: its variables.
    """
    found = environment(template.parent)
    found.filters |= filters or {}
    sheet = template.with_name(template.name.replace(".html.j2", ".css"))
    style = sheet.read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; {sources}style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    return found.get_template(template.name).generate(style=style, policy=policy, **context)
