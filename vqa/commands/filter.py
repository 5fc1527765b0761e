"""What `vqa list --filter TEXT` finds."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Protocol, TypeVar


class Searchable(Protocol):
    """Something that is listed."""

    def matches(self, text: str) -> bool:
        """Whether it mentions `text`, whatever the case."""


Listed = TypeVar("Listed", bound=Searchable)


def mentioning(things: Iterable[Listed], text: str) -> list[Listed]:
    """Those that mention `text` or write it with - in the place of _, or the reverse."""
    spellings = {text, text.replace("_", "-"), text.replace("-", "_")}
    return [one for one in things if any(one.matches(spelling) for spelling in spellings)]


def say_nothing_matches(what: str, text: str) -> None:
    """On stderr: the list is empty."""
    print(f"vqa: nothing matches: none of the {what} mentions {text!r}", file=sys.stderr)
