"""vqa list datasets [--filter TEXT] [--json]"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from vqa.commands.listing import print_list

if TYPE_CHECKING:
    from vqa.data.published.facts import Count, DataSet

ANY_DATA = ("hub", "table")


def list_data_sets(text: str, as_json: bool) -> int:
    """Print the data sets that mention `text`."""
    from vqa.data.published.sets import DATA_SETS

    things = (*DATA_SETS, *_sources())
    print_list("datasets", things, text, said=_said, plain=_plain, lines=_lines, as_json=as_json)
    return 0


def _sources() -> Iterator[DataSet]:
    """Sources that read any data, as entries of their own."""
    from vqa.commands.prepare import SOURCES
    from vqa.data.published.facts import DataSet

    for name in ANY_DATA:
        help_page = f"vqa prepare {name} --help"
        said = f"{SOURCES[name].help}."
        yield DataSet(name, name, said, "", "that of the data", help_page, "any protocol")


def _said(one: DataSet) -> tuple[str, ...]:
    return one.name, one.source, one.summary, one.paper, one.licence, one.protocol


def _plain(one: DataSet) -> dict[str, Any]:
    return {
        "name": one.name,
        "source": one.source,
        "summary": one.summary,
        "paper": one.paper or None,
        "licence": one.licence,
        "page": one.page or None,
        "protocol": one.protocol,
        "counts": [asdict(count) for count in one.counts],
        "counted": one.counted or None,
        "download": one.downloads,
        "generated": one.generated,
    }


def _lines(one: DataSet) -> Iterator[str]:
    """Name, how to get it, protocol; what it is; counts; who published it under which licence."""
    got = "generated" if one.generated else "vqa download" if one.downloads else one.page
    yield f"{one.name}  (source {one.source})  {got}  {one.protocol}"
    yield f"    {one.summary}"
    if one.counts:
        yield f"    {'; '.join(_count(count) for count in one.counts)}"
    if one.paper:
        yield f"    {one.paper}"
    yield f"    licence: {one.licence}"


def _count(count: Count) -> str:
    images = "" if count.images is None else f" on {count.images:,} images"
    about = "about " if count.to > 1 else ""
    unsure = "" if count.verified else " (unverified)"
    return f"{count.split or 'in all'} {about}{count.questions:,} questions{images}{unsure}"
