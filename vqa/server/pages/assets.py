"""The files that pages load: the project's own style and scripts, and plotly's from its installed package."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from functools import cached_property
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Request
from fastapi import Path as PathParameter
from fastapi.responses import FileResponse

from vqa.errors import JobError
from vqa.names import NAME_PATTERN

FOLDER = Path(__file__).parents[1] / "static"
MEDIA_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
FOREVER = "public, max-age=31536000, immutable"
PREFIX = "/static"
PLOTLY = "plotly.min.js"
STYLE_GUARD = re.compile(
    r'getElementById\("([0-9a-f]{64})"\)\)\{var \w+=document\.createElement\("style"\)'
)

router = APIRouter(prefix=PREFIX, include_in_schema=False)


class Assets:
    """Files by name, each under an address that changes with its contents."""

    @cached_property
    def files(self) -> dict[str, Path]:
        """Name → file; whoever asks gives a name and never a path."""
        return {path.name: path for path in _found()}

    @cached_property
    def _digests(self) -> dict[str, str]:
        """One digest for all of the project's own files, since scripts load each other; plotly's by its version."""
        own = hashlib.sha256(
            b"".join(path.read_bytes() for path in sorted(FOLDER.iterdir()) if path.is_file())
        )
        return {name: own.hexdigest()[:12] for name in self.files} | {PLOTLY: version("plotly")}

    @cached_property
    def plotly_styles(self) -> list[str]:
        """Ids of style elements that plotly would make as it loads, for maps that no page shows.

        The pages' policy forbids those; plotly makes none where something with this id is there already.
        """
        text = self.files[PLOTLY].read_text(encoding="utf-8")
        return sorted(set(STYLE_GUARD.findall(text)))

    def address(self, name: str) -> str:
        """Where a page finds a file."""
        return f"{PREFIX}/{self._digests[name]}/{name}"


def _found() -> Iterator[Path]:
    yield from (path for path in FOLDER.iterdir() if path.suffix in MEDIA_TYPES)
    package = find_spec("plotly")
    assert package is not None, "plotly is a dependency"
    assert package.origin is not None, "plotly is a package"
    yield Path(package.origin).parent / "package_data" / PLOTLY


@router.get("/{digest}/{name}")
def asset(
    request: Request,
    digest: Annotated[str, PathParameter(max_length=64)],
    name: Annotated[str, PathParameter(pattern=NAME_PATTERN, max_length=64)],
) -> FileResponse:
    """A file; its address changes with its contents, so browsers may keep it."""
    assets: Assets = request.app.state.assets
    file = assets.files.get(name)
    if file is None:
        raise JobError(f"no file {name!r}", kind="not-found")
    return FileResponse(
        file, media_type=MEDIA_TYPES[file.suffix], headers={"Cache-Control": FOREVER}
    )
