"""Names of groups, stores, users and jobs: no separator, so that none can be a path. Titles of jobs; paths at home."""

from __future__ import annotations

import unicodedata
from pathlib import Path

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
NAME_RULE = (
    "should be letters, digits, dots, dashes and underscores, and begin with a letter or digit"
)
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
