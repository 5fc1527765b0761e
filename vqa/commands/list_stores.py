"""vqa list stores [--filter TEXT] [--json]"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from vqa.commands.filter import mentioning, say_nothing_matches
from vqa.formatting import moment, plain
from vqa.jobs.views import StoreView


@dataclass(frozen=True)
class Listed:
    """A store in a list."""

    store: StoreView

    def matches(self, text: str) -> bool:
        """Whether its name or its source mentions `text`, whatever the case."""
        said = f"{self.store.name}\n{self.store.source}"
        return text.casefold() in said.casefold()


def list_stores(text: str, as_json: bool) -> int:
    """Print the stores that an experiment may name: the server's under VQA_SERVER, this machine's otherwise."""
    from vqa.jobs.connect import connect

    stores = connect().stores()
    found = [one.store for one in mentioning(map(Listed, stores), text)]
    if as_json:
        plain = [store.model_dump(mode="json") for store in found]
        print(json.dumps(plain, ensure_ascii=False, indent=2))
    elif found:
        print("\n".join(line for store in found for line in _lines(store)))
    if not stores:
        print(f"vqa: {_none()}", file=sys.stderr)
    elif not found:
        say_nothing_matches("stores", text)
    return 0


def _lines(store: StoreView) -> Iterator[str]:

    images = f"{store.images:,} images{', known by text alone' if store.text_only else ''}"
    yield f"{store.name}  (source {plain(store.source)})  {images}"
    splits = (f"{plain(name)} {count:,}" for name, count in store.splits.items())
    yield f"    {', '.join(splits)} questions"
    if store.uploaded_by is not None and store.uploaded is not None:
        yield f"    uploaded by {plain(store.uploaded_by)}, {moment(store.uploaded)}"


def _none() -> str:
    """How the first one is made."""
    from vqa.jobs.connect import server
    from vqa.jobs.home import Home

    away = server()
    if away is not None:
        return (
            f"{away} has no store yet: vqa upload STORE sends one, or it is prepared on that machine, into "
            "VQA_HOME/stores"
        )
    return f"no store yet; vqa prepare SOURCE … --to {Home.here().stores}/NAME makes one"
