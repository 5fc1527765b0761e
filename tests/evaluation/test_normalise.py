"""The normalisation: observed cases of the official tool, and properties on hostile text."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vqa.evaluation.accuracy import FULL
from vqa.evaluation.normalise import (
    ARTICLES,
    CONTRACTIONS,
    NUMBER_WORDS,
    PUNCTUATION,
    Normaliser,
    full_stops,
    light,
    punctuation,
    run_steps,
    trace,
)

OBSERVED = {
    "2.5": "2.5",
    "2.": "2",
    ".5": ".5",
    "a.m.": "am",
    "a": "",
    "none": "0",
    "Ten": "10",
    "eleven": "eleven",
    "100,978": "100978",
    "red/blue": "red blue",
    "red,white": "red white",
    "t-shirt": "t shirt",
    "girl's": "girl's",
    "2:50 pm": "2:50 pm",
    "$5": "$5",
    "50%": "50%",
    "black & white": "black & white",
    "dont": "don't",
    "Im": "im",
    "\tstate  farm\n": "state farm",
    "red,white 1,000": "redwhite 1000",
    "cat ?": "cat",
    "a-frame": "frame",
    "somebody'd": "somebodyd",
    "shed've": "she'd've",
    "she'dve": "she'd've",
    "twas": "'twas",
    "?": "",
    "": "",
}

# Fragments that the rules act on, so that random texts meet the rules.
FRAGMENTS = st.sampled_from(
    [
        *PUNCTUATION,
        *CONTRACTIONS,
        *NUMBER_WORDS,
        *ARTICLES,
        "1,2",
        "1",
        ".",
        " ",
        "\n",
        "\t",
        "'",
        "THE",
        "İ",
        "ß",
        "٣,٤",
        "\u00a0",
        "\u2003",
        "\x1f",
        "🐈",
        "e\u0301",
        "\u202e",
        "Σ",
    ]
)
HOSTILE = st.lists(FRAGMENTS | st.text(max_size=4), max_size=12).map("".join)


@pytest.mark.parametrize(("text", "normal"), OBSERVED.items())
def test_observed_cases(text: str, normal: str) -> None:
    assert run_steps(text, FULL) == normal


def test_there_are_120_contractions_and_21_punctuation_characters() -> None:
    assert len(CONTRACTIONS) == 120
    assert len(set(PUNCTUATION)) == 21
    assert [key for key in CONTRACTIONS if key != key.lower()] == ["Im", "Ive", "Id've", "I'dve"]


def test_only_32_full_stops_go() -> None:
    assert full_stops("." * 40) == "." * 8


@given(HOSTILE)
@example("1 ,2,3")
def test_twice_is_once(text: str) -> None:
    text = text.replace(".", "", max(0, text.count(".") - 32))
    once = run_steps(text, FULL)
    assert run_steps(once, FULL) == once


@given(HOSTILE)
def test_what_a_normal_text_looks_like(text: str) -> None:
    normal = run_steps(text, FULL)
    assert not set(normal) & set(PUNCTUATION)
    assert normal == " ".join(normal.split())
    assert not ARTICLES & set(normal.split())
    assert not set(NUMBER_WORDS) & set(normal.split())


@given(HOSTILE)
def test_punctuation_replaces_character_by_character(text: str) -> None:
    """The official tool replaces one character after the other, deciding on the text as it came."""
    expected = text
    for mark in PUNCTUATION:
        touches_blank = f"{mark} " in text or f" {mark}" in text
        deleted = touches_blank or re.search(r"\d,\d", text) is not None
        expected = expected.replace(mark, "" if deleted else " ")
    assert punctuation(text) == expected


@given(HOSTILE)
def test_the_trace_ends_at_the_result_and_memory_changes_nothing(text: str) -> None:
    normal = run_steps(text, FULL)
    assert trace(text, FULL)[-1][1] == normal
    remembering = Normaliser(FULL)
    assert remembering[text] == remembering[text] == normal


@given(HOSTILE)
def test_light_is_stable_and_keeps_what_it_says(text: str) -> None:
    assert light(light(text)) == light(text)
    assert light(f" {text}\n") == light(text)


def test_light_keeps_punctuation_and_articles() -> None:
    assert light(" The  Cat. ") == "the  cat."
    assert light("STRASSE") == light("straße")
