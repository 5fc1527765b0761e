"""Sizes, times and columns; what others wrote must not steer a terminal."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vqa.formatting import (
    aligned,
    duration,
    harmless,
    moment,
    one_line,
    plain,
    printable,
    roughly,
    shortened,
    size,
)

HOSTILE = (
    "\x1b[2J\x1b[H",  # clears the screen
    "\x1b]0;title\x07",  # sets the title
    "\x1b]52;c;cm0gLXJm\x07",  # writes the clipboard
    "\x9b31m",  # the eight-bit escape
    "a\x08\x08b",  # writes over what was there
    "\u202etxt.exe",  # right to left
    "\x00",
    "\x7f",
)


def steers(text: str, allowed: str = "") -> list[str]:
    return [c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Zl") and c not in allowed]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_shown_and_not_obeyed(text: str) -> None:
    assert not steers(plain(text))
    assert not steers(one_line(text))
    assert not steers(printable(f"{text}\n", keep="\n"), "\n")
    assert not steers(harmless(text), "\n\t")


@given(st.text())
def test_no_text_steers_a_terminal(text: str) -> None:
    assert not steers(plain(text))
    assert "\n" not in plain(text)
    assert not steers(harmless(text), "\n\t")


def test_ordinary_words_stay_as_they_are() -> None:
    text = "épreuve 日本 ½ “ok”"
    assert plain(text) == text
    assert harmless(f"{text}\n\tnext\n") == f"{text}\n\tnext\n"


def test_escapes_stay_visible_in_logs() -> None:
    assert harmless("\x1b[31mred") == "␛[31mred"


def test_a_progress_bar_becomes_lines() -> None:
    assert harmless(" 1%\r 2%\r\n") == " 1%\n 2%\n"


def test_long_text_is_cut() -> None:
    assert plain("x" * 50, 10) == "x" * 9 + "…"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0s"),
        (0.4, "0s"),
        (59.4, "59s"),
        (59.6, "1m00s"),
        (3599, "59m59s"),
        (3600, "1h00m"),
        (90_000, "1d01h"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_moments() -> None:
    assert len(moment(0)) == len("1970-01-01 00:00:00")


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1500, "1.5 KB"),
        (2_000_000, "2.0 MB"),
        (3e9, "3.0 GB"),
        (3.2e13, "32.0 TB"),
    ],
)
def test_sizes(count: float, text: str) -> None:
    assert size(count) == text


def test_a_text_that_is_cut_says_so() -> None:
    assert shortened("12345", 5) == "12345"
    assert shortened("123456", 5) == "1234…"


def test_columns_stand_side_by_side() -> None:
    rows = [("job", "name", "step"), ("3f2a", "a", "12"), ("9", "", "")]
    assert aligned(rows, left=2) == ["job   name  step", "3f2a  a       12", "9"]


@pytest.mark.parametrize(
    ("seconds", "text"), [(None, "unknown"), (42, "42 s"), (90, "2 min"), (5400, "1.5 h")]
)
def test_estimates(seconds: float | None, text: str) -> None:
    assert roughly(seconds) == text
