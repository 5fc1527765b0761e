"""vqa prepare regions STORE FILE…"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vqa.formatting import size

if TYPE_CHECKING:
    from vqa.data.regions.bring import Brought
    from vqa.data.store import Store


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description = (
        "Bring the region features that a detector made elsewhere into a store, for\n"
        "model.image_encoder=regions. Read are bottom-up attention's .tsv files and LXMERT's, plain, .gz or .zip,\n"
        "and folders with one .npz a picture. Interrupted work goes on; what stands there is compared."
    )
    parser.epilog = (
        "Of a record with more regions the first are kept; published files have them in the order of the\n"
        "detector's proposals or by confidence. Regions of zeros (--pad) get attention like others."
    )
    add = parser.add_argument
    # fmt: off
    add("store", type=Path, metavar="STORE", help="a prepared store")
    add("inputs", type=Path, nargs="+", metavar="FILE", help=".tsv, .tsv.gz, .zip, .npz or a folder of .npz")
    add("--count", type=int, default=36, metavar="N", help="regions a picture (default 36)")
    add("--dim", type=int, default=2048, metavar="N", help="values of a region's features (default 2048)")
    add("--source", default="bottom-up", metavar="NAME",
        help="name to bring them in under (default bottom-up)")
    add("--dtype", choices=("float16", "bfloat16"), default="float16", help="type to keep them in")
    add("--no-boxes", action="store_true", help="leave out the boxes: attention cannot be drawn then")
    add("--pad", action="store_true", help="fill pictures with fewer regions with zeros, not refuse them")
    add("--split", action="append", default=[], metavar="S",
        help="only the pictures of this split must have regions (may be repeated; default: all)")
    add("--allow-missing", action="store_true", help="end well though pictures have none")
    add("--overwrite", action="store_true",
        help="begin anew: what stands under that name, count and width is deleted first")
    add("--json", action="store_true", help="print the result as JSON")
    # fmt: on


def run(args: argparse.Namespace) -> int:
    """Bring them in; 0 where every picture has its regions."""
    from vqa.commands.features import image_rows
    from vqa.data.regions.bring import bring_regions, check_complete
    from vqa.data.regions.record import Form
    from vqa.data.store import Store

    _check(args)
    started = time.monotonic()
    store = Store.open(args.store)
    form = Form(args.count, args.dim, not args.no_boxes, args.pad, args.dtype)
    wanted = image_rows(store, args.split)
    brought = bring_regions(store, args.inputs, form, args.source, wanted, overwrite=args.overwrite)
    if not args.allow_missing:
        check_complete(brought, store)
    facts = _facts(brought, store, args.source) | {"seconds": round(time.monotonic() - started, 3)}
    print(json.dumps(facts, indent=2, ensure_ascii=False) if args.json else _text(facts))
    return 0


def _check(args: argparse.Namespace) -> None:
    """Refuse what the encoder's own settings would refuse later.

    Raises:
        InputError: a number or the name is beyond its limits.
    """
    from pydantic import ValidationError

    from vqa.errors import InputError
    from vqa.faults import explain
    from vqa.model.image_encoder import Regions

    try:
        Regions(count=args.count, dim=args.dim, source=args.source)
    except ValidationError as error:
        raise InputError(explain(error, Regions), where="vqa prepare regions") from None


def _facts(brought: Brought, store: Store, source: str) -> dict[str, Any]:
    """What `--json` prints."""
    from vqa.data.cache.regions import named

    layout, missing = brought.file.layout, brought.missing
    return {
        "path": str(brought.file.folder),
        "source": source,
        "shape": list(layout.shape),
        "dtype": layout.dtype,
        "bytes": len(brought.wanted) * layout.row_bytes,
        "pictures": len(brought.wanted),
        "found": len(brought.wanted) - len(missing),
        "made": brought.made,
        "kept": brought.kept,
        "others": brought.others,
        "missing": len(missing),
        "first_missing": named(store, missing) if len(missing) else "",
    }


def _text(facts: dict[str, Any]) -> str:
    shape = "×".join(map(str, facts["shape"]))
    lines = [
        f"{facts['path']}: {facts['found']:,} of {facts['pictures']:,} pictures have regions"
        f" {facts['source']!r}, {shape} {facts['dtype']} each, {size(facts['bytes'])} in all",
        f"{facts['made']:,} added, {facts['kept']:,} were there, {facts['others']:,} records of other pictures,"
        f" {facts['seconds']:.1f} s",
    ]
    if facts["missing"]:
        lines.append(f"without: {facts['missing']:,} ({facts['first_missing']})")
    return "\n".join(lines)
