"""vqa list stores [--filter TEXT] [--json]"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from vqa.commands.listing import print_list
from vqa.formatting import moment, plain
from vqa.jobs.views import StoreView


def list_stores(text: str, as_json: bool) -> int:
    """Print the stores that an experiment may name: the server's under VQA_SERVER, this machine's otherwise."""
    from vqa.jobs.connect import connect

    stores = connect().stores()
    if stores:
        print_list(
            "stores",
            stores,
            text,
            said=lambda store: [f"{store.name}\n{store.source}"],
            plain=lambda store: store.model_dump(mode="json"),
            lines=_lines,
            as_json=as_json,
            between="\n",
        )
        return 0
    if as_json:
        print("[]")
    print(f"vqa: {_none()}", file=sys.stderr)
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
