"""Names of jobs, groups, stores and users: no separator, so that none can be a path."""

from __future__ import annotations

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
NAME_RULE = (
    "should be letters, digits, dots, dashes and underscores, and begin with a letter or digit"
)
"""The pattern in words."""
LONGEST_NAME = 120
