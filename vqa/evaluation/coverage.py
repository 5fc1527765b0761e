"""Whether a result file answers exactly the questions that it should."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from vqa.errors import ResultError

SHOWN = 5
"""So many ids of a list stand in a message; the object has them all."""


class IdMismatch(ResultError):
    """The ids of a result file are not those of the questions.

    Attributes:
        missing: questions without an answer.
        duplicates: ids answered more than once.
        foreign: ids that are no question's.
    """

    def __init__(
        self, where: str, missing: Sequence[str], duplicates: Sequence[str], foreign: Sequence[str]
    ) -> None:
        self.missing, self.duplicates, self.foreign = list(missing), list(duplicates), list(foreign)
        parts = [
            f"{len(ids)} {text} ({first_few(ids)})"
            for ids, text in (
                (missing, "questions have no answer"),
                (duplicates, "ids are answered more than once"),
                (foreign, "ids are no question's"),
            )
            if ids
        ]
        only_missing = not duplicates and not foreign
        fix = "answer every question once"
        super().__init__(
            "; ".join(parts),
            where=where,
            fix=f"{fix}, or count missing ones as wrong with --allow-missing"
            if only_missing
            else fix,
        )

    @property
    def shown_whole(self) -> bool:
        """Whether the message names every id."""
        return max(len(self.missing), len(self.duplicates), len(self.foreign)) <= SHOWN

    def to_json(self) -> dict[str, Any]:
        """The complete lists."""
        return {
            "error": str(self),
            "missing": self.missing,
            "duplicates": self.duplicates,
            "foreign": self.foreign,
        }


def check_ids(
    expected: Iterable[str],
    given: Sequence[str],
    where: str,
    *,
    allow_missing: bool = False,
    optional: Collection[str] = (),
) -> list[str]:
    """Compare the ids of the questions with those of a result file, and return the missing ones.

    Args:
        expected: ids that need an answer, in order.
        given: ids of the result file, repeats and all.
        where: the result file, for the message.
        allow_missing: accept that some of `expected` are missing; never that all are.
        optional: further ids that may have an answer.

    Raises:
        IdMismatch: with every list complete.
    """
    counts = Counter(given)
    wanted = dict.fromkeys(expected)
    missing = [one for one in wanted if one not in counts]
    duplicates = [one for one, count in counts.items() if count > 1]
    foreign = [one for one in counts if one not in wanted and one not in optional]
    refused = missing and (not allow_missing or len(missing) == len(wanted))
    if duplicates or foreign or refused:
        raise IdMismatch(where, missing, duplicates, foreign)
    return missing


def first_few(ids: Sequence[str]) -> str:
    """The first few ids and the number of the others."""
    shown = ", ".join(one[:40] for one in ids[:SHOWN])
    return f"{shown}, … {len(ids) - SHOWN} more" if len(ids) > SHOWN else shown
