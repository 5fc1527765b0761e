"""vqa cache STORE [--verify] [--prune [--older-than DAYS] [--regions] [--dry-run]]"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vqa.formatting import size

if TYPE_CHECKING:
    from vqa.data.cache.place import Cached
    from vqa.data.store import Store


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.description = (
        "Say what is kept of a store: features of frozen encoders, decoded pictures, tokenised questions, regions. "
        "All of it can be deleted at any time, and whoever needs it makes it again; regions alone have to be "
        "brought in again by vqa prepare regions."
    )
    add = parser.add_argument
    add("store", type=Path, metavar="STORE", help="a prepared store")
    add(
        "--verify",
        action="store_true",
        help="read all of it; what is damaged is made again when it is needed",
    )
    add("--prune", action="store_true", help="delete it, all but regions")
    add("--older-than", type=float, metavar="DAYS", help="only what was last written so long ago")
    add("--regions", action="store_true", help="delete regions, too")
    add("--dry-run", action="store_true", help="say what would be deleted, and delete nothing")
    add("--json", action="store_true", help="print the result as JSON")


def run(args: argparse.Namespace) -> int:
    """List, verify or delete; 0."""
    from vqa.data.cache.place import cached
    from vqa.data.store import Store
    from vqa.errors import InputError

    for option in ("older_than", "regions", "dry_run"):
        if getattr(args, option) not in (None, False) and not args.prune:
            name = "--" + option.replace("_", "-")
            raise InputError("says what to prune", where=name, fix="give --prune, too")
    if args.older_than is not None and not args.older_than >= 0:
        raise InputError("must not be below 0", where="--older-than")
    store = Store.open(args.store)
    found = _pruned(args, store) if args.prune else list(cached(store))
    facts = [one.to_json() | (_verified(one) if args.verify else {}) for one in found]
    if args.json:
        print(json.dumps(facts, indent=2))
        return 0
    for fact in facts:
        print("  ".join(_columns(fact)))
    verb = ("would free" if args.dry_run else "freed") if args.prune else "in all"
    print(f"{verb} {size(sum(one.bytes for one in found))}")
    return 0


def _pruned(args: argparse.Namespace, store: Store) -> list[Cached]:
    from vqa.data.cache.place import prune

    return prune(store, args.older_than or 0.0, regions=args.regions, dry_run=args.dry_run)


def _columns(fact: dict[str, Any]) -> Iterator[str]:
    yield f"{fact['kind']:<9}{size(fact['bytes']):>9}{fact['age']:>8.1f} d"
    yield fact["path"]
    if fact["about"]:
        yield fact["about"]
    if "fault" in fact:
        yield f"cannot be read: {fact['fault']}"
    if "damaged" in fact:
        yield f"{fact['damaged']:,} damaged"


def _verified(one: Cached) -> dict[str, Any]:
    """How many rows are damaged; they count as not made from here on."""
    import numpy as np

    from vqa.data.cache.layout import read_manifest
    from vqa.data.cache.rows import RowFile

    if not one.path.is_dir():
        return {}
    try:
        file = RowFile(one.path, read_manifest(one.path), writable=False)
    except (OSError, ValueError) as error:
        return {"fault": str(error)}
    file.refresh()
    return {"damaged": len(file.verify(np.flatnonzero(file.index)))}
