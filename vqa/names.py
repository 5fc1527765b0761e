"""Names of groups, stores, users and jobs; titles of jobs; paths at home; and what a mistyped name may have meant.

A name has no separator, so that none can be a path.
"""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Sequence
from pathlib import Path

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
NAME_RULE = "should be letters a to z, digits, dots, dashes and underscores, and begin with a letter or digit"
"""The pattern in words."""
LONGEST_NAME = 120

TITLE_RULE = (
    "should be letters of any script, digits, blanks, dots, dashes and underscores, "
    "and begin with a letter or digit"
)


def check_title(text: str) -> str:
    """What people call a job, composed (NFC); it is shown, and stands in no path and no address.

    Raises:
        ValueError: it has other characters, which may steer a terminal or the direction of a text.
    """
    fits = all(unicodedata.category(mark)[0] in "LMN" or mark in " ._-" for mark in text)
    if not (fits and text[:1].isalnum() and text == text.strip()):
        raise ValueError(TITLE_RULE)
    return unicodedata.normalize("NFC", text)


def at_home(path: str) -> str:
    """A path, with `~/` at its beginning read as one's home."""
    return f"{Path.home()}{path[1:]}" if path.startswith("~/") else path


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """A clause that names the nearest known word, or all of them."""
    return f"; {nearest(word, known)}" if known else ""


def nearest(word: str, known: Sequence[str]) -> str:
    """The same by itself: what was meant, or else what there is."""
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
