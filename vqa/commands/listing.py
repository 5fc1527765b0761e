"""What all of `vqa list` shares: what `--filter TEXT` finds, and how it is printed."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

Listed = TypeVar("Listed")


def print_list(
    what: str,
    things: Iterable[Listed],
    text: str,
    *,
    said: Callable[[Listed], Iterable[str]],
    plain: Callable[[Listed], Any],
    lines: Callable[[Listed], Iterable[str]],
    as_json: bool,
    between: str = "\n\n",
) -> bool:
    """Print the things that mention `text` in any case, or with - in the place of _, or the reverse.

    Args:
        what: they are called.
        said: by a thing, in which the text is looked for.
        plain: a thing as JSON has it.
        lines: a thing for people; `between` stands between two of them.

    Returns:
        Whether there were some.
    """
    spellings = [one.casefold() for one in (text, text.replace("_", "-"), text.replace("-", "_"))]
    told = ((one, " ".join(said(one)).casefold()) for one in things)
    found = [one for one, words in told if any(spelling in words for spelling in spellings)]
    if as_json:
        print(json.dumps([plain(one) for one in found], ensure_ascii=False, indent=2))
    elif found:
        print(between.join("\n".join(lines(one)) for one in found))
    if not found:
        print(f"vqa: nothing matches: none of the {what} mentions {text!r}", file=sys.stderr)
    return bool(found)
