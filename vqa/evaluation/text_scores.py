"""How near one text is to another: edit distance and common words, for answers that are read or written at length.

ANLS, average normalised Levenshtein similarity: 1 − distance / length of the longer text, and 0 where that is below
½; of several right answers the nearest counts. Case and runs of blanks are apart. The paper takes 0 for exactly ½, the
challenge's own script (rrc.cvc.uab.es) ½, and so does this; like it, lengths are those of the texts as they came.

Token F1: the harmonic mean of precision and recall of words, each counted as often as it stands, without case,
punctuation and articles; of several right answers the best counts.

Sources: Biten et al. 2019, Scene text visual question answering; Rajpurkar et al. 2016, SQuAD, and its official script.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

LEAST_SIMILARITY = 0.5
_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLES = re.compile(r"\b(a|an|the)\b")

Nearness = Callable[[str, str], float]
"""0 to 1 for an answer and a right one."""


def nearest(answer: str | None, answers: Sequence[str], near: Nearness) -> float:
    """How near `answer` is to the nearest of `answers`, 0 to 100; a missing answer scores 0."""
    if answer is None:
        return 0.0
    return 100.0 * max(near(answer, right) for right in dict.fromkeys(answers))


def similarity(answer: str, right: str) -> float:
    """The thresholded Levenshtein similarity of two texts, 0 to 1."""
    one, other = (" ".join(text.strip().lower().split()) for text in (answer, right))
    longest = max(len(answer.upper()), len(right.upper()))
    if one == other:
        return 1.0
    if 1 - abs(len(one) - len(other)) / longest < LEAST_SIMILARITY:
        return 0.0
    found = 1 - distance(one, other) / longest
    return found if found >= LEAST_SIMILARITY else 0.0


def distance(one: str, other: str) -> int:
    """Levenshtein's: the fewest characters to insert, delete or replace that make one text of the other."""
    marks = np.array([ord(mark) for mark in other])
    places = np.arange(len(other) + 1)
    row = places
    for at, mark in enumerate(one, 1):
        kept = np.minimum(row[1:] + 1, row[:-1] + (marks != ord(mark)))
        # An insertion costs one more than the entry to its left: a running minimum, each place less its own number.
        row = np.minimum.accumulate(np.concatenate([[at], kept]) - places) + places
    return int(row[-1])


def token_f1(answer: str, right: str) -> float:
    """F1 of the words of two texts, 0 to 1; of texts without words whether both are."""
    said, wanted = _words(answer), _words(right)
    common, words = sum((Counter(said) & Counter(wanted)).values()), len(said) + len(wanted)
    return 2 * common / words if words else 1.0


def _words(text: str) -> list[str]:
    return _ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split()
