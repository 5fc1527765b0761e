"""vqa list fusions|attentions|encoders|heads|protocols|trackers|curves|datasets|recipes|stores [--filter TEXT]"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from vqa.commands.listing import print_list

if TYPE_CHECKING:
    from vqa.model.catalogue import Entry

FAMILIES = {
    "fusions": ("fusion",),
    "attentions": ("attention",),
    "encoders": ("image_encoder", "question_encoder"),
    "heads": ("head",),
    "protocols": ("protocol",),
    "trackers": ("tracker",),
    "curves": ("curve",),
}
DATA_SETS, RECIPES, STORES = "datasets", "recipes", "stores"
WITHOUT_PARAMETERS = ("protocols", "trackers", "curves")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "what", choices=(*FAMILIES, DATA_SETS, RECIPES, STORES), help="what to list"
    )
    parser.add_argument(
        "--filter",
        default="",
        metavar="TEXT",
        help="only those that mention it: plain text, in any case, - and _ being equal",
    )
    parser.add_argument("--json", action="store_true", help="print the list as JSON")


def run(args: argparse.Namespace) -> int:
    """Print what there is."""
    if args.what == DATA_SETS:
        from vqa.commands.list_datasets import list_data_sets

        return list_data_sets(args.filter, args.json)
    if args.what == RECIPES:
        from vqa.commands.list_recipes import list_recipes

        return list_recipes(args.filter, args.json)
    if args.what == STORES:
        from vqa.commands.list_stores import list_stores

        return list_stores(args.filter, args.json)
    found = print_list(
        args.what,
        _entries(args.what),
        args.filter,
        said=_said,
        plain=_plain,
        lines=_lines,
        as_json=args.json,
    )
    if found and args.what not in WITHOUT_PARAMETERS:
        from vqa.model.catalogue import REFERENCE

        print(f"vqa: {REFERENCE}", file=sys.stderr)
    return 0


def _entries(what: str) -> Iterator[Entry]:
    from vqa.model.catalogue import bricks

    others = {"protocol": _protocols, "tracker": _trackers, "curve": _curves}
    for family in FAMILIES[what]:
        yield from others[family]() if family in others else bricks(family)


def _protocols() -> Iterator[Entry]:
    from vqa.evaluation.protocols import PROTOCOLS
    from vqa.model.catalogue import Entry, explained

    for name, scorer in PROTOCOLS.items():
        summary, sections = explained(scorer.__doc__)
        yield Entry("protocol", name, summary, sections.get("Paper"))


def _trackers() -> Iterator[Entry]:
    from vqa.model.catalogue import Entry, explained
    from vqa.tracking.trackers import MEMBERS

    for member in MEMBERS:
        yield Entry("tracker", member.model_fields["name"].default, explained(member.__doc__)[0])


def _curves() -> Iterator[Entry]:
    from vqa.model.catalogue import Entry
    from vqa.tracking.curve_names import CURVES

    for curve in CURVES:
        yield Entry("curve", curve.name, curve.meaning)


def _said(entry: Entry) -> Iterator[str]:
    yield from (entry.name, entry.summary, entry.paper or "", entry.explanation)
    yield from map(str, entry.settings or ())


def _plain(entry: Entry) -> dict[str, object]:
    fields: dict[str, object] = {
        "family": entry.family,
        "name": entry.name,
        "summary": entry.summary,
        "paper": entry.paper,
        "formula": entry.formula,
    }
    if entry.settings is None:
        return fields
    return {
        **fields,
        "defaults": {one.name: one.default for one in entry.settings},
        "allowed": {one.name: one.allowed for one in entry.settings},
        "meanings": {one.name: one.meaning for one in entry.settings},
        "parameters": entry.parameters,
        "parameter_formula": entry.counted,
    }


def _lines(entry: Entry) -> Iterable[str]:
    """Name, parameters and default sizes; what it is; who published it; what can be set."""
    count = None if entry.parameters is None else f"{entry.parameters:,} parameters"
    settings = entry.settings or ()
    sizes = ", ".join(f"{one.name} {one.default}" for one in settings if _is_size(one.default))
    family = f"({entry.family})" if entry.family.endswith("encoder") else None
    yield "  ".join(part for part in (entry.name, family, count, sizes) if part)
    yield f"    {entry.summary}"
    if entry.formula:
        yield f"    {entry.formula}"
    if entry.paper:
        yield f"    {entry.paper}"
    if entry.counted:
        yield f"    parameters: {entry.counted}"
    yield from (f"    {one}" for one in settings)


def _is_size(value: object) -> bool:
    if isinstance(value, list):
        return bool(value) and all(isinstance(item, int) for item in value)
    return isinstance(value, int) and not isinstance(value, bool)
