"""Names of groups, stores and users, and ids of jobs: no separator, so that none can be a path. And titles of jobs."""

from __future__ import annotations

import unicodedata

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
