"""The answer normalisation of VQA accuracy, as named steps.

Facts of the official evaluator (GT-Vision-Lab/VQA) that surprise, all kept here because figures
depend on them:

- Whether a punctuation character is deleted or becomes a blank is decided on the text as it came,
  once for each character: deleted where it touches a blank anywhere, or where a digit, a comma and
  a digit stand in a row *anywhere* in the text. So `red,white` becomes `red white`, and `red,white
  1,000` becomes `redwhite 1000`.
- The pattern for full stops means to spare those after a digit too, but its look-behind is written
  `(?!<=\\d)`, which is always true: a full stop goes unless a digit *follows*. Its flag lands in
  the argument for the number of replacements, so at most 32 go.
- `:` `'` `$` `%` `&` `*` `#` are no punctuation for it.
- Four of the 120 contractions have capitals in their key and are looked up after lower-casing:
  never found.
- One contraction takes an apostrophe away: `somebody'd` becomes `somebodyd`.
- The order matters: articles go after punctuation, so `a-frame` becomes `frame`; contractions come
  last.
- Normalising twice is normalising once, but for texts with more than 32 full stops.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from types import MappingProxyType
from typing import NamedTuple

PUNCTUATION = ';/[]"{}()=+\\_-><@`,?!'
ARTICLES = frozenset(("a", "an", "the"))
NUMBER_WORDS = MappingProxyType(
    {"none": "0", "zero": "0", "one": "1", "two": "2", "three": "3", "four": "4", "five": "5"}
    | {"six": "6", "seven": "7", "eight": "8", "nine": "9", "ten": "10"}
)
MAX_FULL_STOPS = 32

# Right forms only; the keys are the same with an apostrophe left out (see `_contractions`).
_BARE = (
    "ain't aren't can't could've couldn't didn't doesn't don't hadn't hasn't haven't he'd he's "
    "how'd how'll how's I'm I've isn't it'd it'll ma'am mightn't might've mustn't must've "
    "needn't not've o'clock oughtn't shan't should've shouldn't somebody'll somebody's "
    "someone'd someone'll someone's something'd something'll that's there'd there're there's "
    "they'd they'll they're they've 'twas wasn't we've weren't what'll what're what's what've "
    "when's where'd where's where've who'd who'll who's who've why'll why're why's won't "
    "would've wouldn't y'all you'd you'll you're you've"
)
_EITHER = (
    "couldn't've hadn't've he'd've I'd've it'd've mightn't've she'd've shouldn't've "
    "somebody'd've someone'd've something'd've there'd've they'd've we'd've who'd've "
    "wouldn't've y'all'll you'd've"
)
_ODD = MappingProxyType(
    {
        "let's": "let's",
        "she's": "she's",
        "somebody'd": "somebodyd",
        "ow's'at": "'ow's'at",
        "'ows'at": "'ow's'at",
        "'ow'sat": "'ow's'at",
        "yall'd've": "y'all'd've",
        "y'alld've": "y'all'd've",
        "y'all'dve": "y'all'd've",
    }
)


def _contractions() -> dict[str, str]:
    table = {form.replace("'", ""): form for form in _BARE.split()}
    for form in _EITHER.split():
        head, middle, tail = form.split("'")
        table[f"{head}{middle}'{tail}"] = table[f"{head}'{middle}{tail}"] = form
    return table | dict(_ODD)


CONTRACTIONS = MappingProxyType(_contractions())
"""The 120 contractions: form without apostrophe → form with."""

_ANY_PUNCTUATION = re.compile(f"[{re.escape(PUNCTUATION)}]")
_DIGIT_COMMA_DIGIT = re.compile(r"\d,\d")
_FULL_STOP = re.compile(r"\.(?!\d)")


class Step(NamedTuple):
    """A named step of a normalisation."""

    name: str
    apply: Callable[[str], str]


def strip_blanks(text: str) -> str:
    """Newlines and tabs become blanks; white space at both ends goes."""
    return text.replace("\n", " ").replace("\t", " ").strip()


def punctuation(text: str) -> str:
    """Delete each of the 21 punctuation characters or turn it into a blank (module docstring)."""
    if not _ANY_PUNCTUATION.search(text):
        return text
    delete_all = _DIGIT_COMMA_DIGIT.search(text) is not None
    table = {
        ord(mark): "" if delete_all or f"{mark} " in text or f" {mark}" in text else " "
        for mark in PUNCTUATION
        if mark in text
    }
    return text.translate(table)


def full_stops(text: str) -> str:
    """Delete the first 32 full stops that no digit follows."""
    return _FULL_STOP.sub("", text, count=MAX_FULL_STOPS) if "." in text else text


def lower_case(text: str) -> str:
    """Lower-case, and one blank between words."""
    return " ".join(text.lower().split())


def number_words(text: str) -> str:
    """`none` and `zero` to `ten` become digits."""
    return " ".join(NUMBER_WORDS.get(word, word) for word in text.split())


def articles(text: str) -> str:
    """Drop `a`, `an`, `the`."""
    return " ".join(word for word in text.split() if word not in ARTICLES)


def contractions(text: str) -> str:
    """Give contractions their apostrophe back."""
    return " ".join(CONTRACTIONS.get(word, word) for word in text.split())


STRIP = (Step("strip", strip_blanks),)
PUNCTUATION_STEPS = (Step("punctuation", punctuation), Step("full stops", full_stops))
WORD_STEPS = (
    Step("lower case", lower_case),
    Step("number words", number_words),
    Step("articles", articles),
    Step("contractions", contractions),
)


def run_steps(text: str, steps: tuple[Step, ...]) -> str:
    """`text` after every step in turn."""
    for step in steps:
        text = step.apply(text)
    return text


def trace(text: str, steps: tuple[Step, ...]) -> list[tuple[str, str]]:
    """(name of the step, text after it) for every step in turn."""
    shown = []
    for step in steps:
        text = step.apply(text)
        shown.append((step.name, text))
    return shown


class Normaliser(dict[str, str]):
    """`run_steps` that remembers, as a table that fills itself: a data set has far fewer distinct answers than
    answers."""

    def __init__(self, steps: tuple[Step, ...]) -> None:
        super().__init__()
        self._steps = steps

    def __missing__(self, text: str) -> str:
        found = self[text] = run_steps(text, self._steps)
        return found


def light(text: str) -> str:
    """The normalisation of `exact/1`: white space at both ends goes, case is folded
    (`str.casefold`), no more.

    Inner white space, punctuation, articles and accents stay: `a cat`, `cat.` and `cat` are three
    answers.
    """
    return text.strip().casefold()
