"""What passes the check is clean whatever went in, and what was clean passes unchanged."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vqa.data.check import MAX_CHARACTERS, MAX_WORDS, Refused, checked, file_stem
from vqa.data.record import Example
from vqa.errors import DataError

TEXT = st.text(st.one_of(st.characters(), st.sampled_from("\t\n\r\0\x1b\ufeff  ab")), max_size=30)
LONG = st.integers(1, 700).map(lambda count: "ab " * count)


def example(**fields) -> Example:
    return Example(**{"question_id": "q", "image_id": "i", "question": "what is it?"} | fields)


@given(question=st.one_of(TEXT, LONG), answers=st.lists(TEXT, max_size=3), kind=TEXT)
def test_what_passes_is_clean(question, answers, kind):
    try:
        passed = checked(example(question=question, answers=answers, question_type=kind))
    except Refused:
        return
    assert passed.question == passed.question.strip() != ""
    assert len(passed.question.split()) <= MAX_WORDS
    for text in (passed.question, *passed.answers, passed.question_type):
        assert len(text) <= MAX_CHARACTERS
        text.encode()
    for text in (passed.question, *passed.answers):
        assert not any(unicodedata.category(letter) == "Cc" for letter in text)
    assert checked(passed) == passed


@given(
    words=st.lists(
        st.sampled_from(["what", "is", "it?", "日本", "ß", "—"]), min_size=1, max_size=250
    )
)
def test_what_is_clean_passes_unchanged(words):
    clean = example(question=" ".join(words), answers=["it"], choices=["it", "that"], label=0)
    assert checked(clean) == clean


@pytest.mark.parametrize(
    "name", ["question_id", "image_id", "split", "question_type", "answer_type"]
)
@pytest.mark.parametrize("mark", ["\n", "\t", "\x1b"])
def test_names_hold_no_control_character(name, mark):
    if mark in "\n\t":
        assert checked(example(**{name: f"a{mark}b"}))
    else:
        with pytest.raises(Refused, match=r"U\+001B in an id, type or split"):
            checked(example(**{name: f"a{mark}b"}))


class Compared(str):
    """A text that counts how often one of its kind was compared."""

    times = 0
    __hash__ = str.__hash__

    def __eq__(self, other):
        Compared.times += 1
        return str.__eq__(self, other)


def test_many_choices_of_which_two_are_equal_are_not_compared_with_each_other():
    choices = [Compared(number) for number in (*range(150), 149)]
    with pytest.raises(Refused, match="equal choices \\('149'\\)"):
        checked(example(choices=choices, label=0))
    assert Compared.times < 2 * len(choices)


@pytest.mark.parametrize(
    "split",
    ["train", "val_unseen", "test-dev", "v1.0", "Prüfung 2", "テスト", "train[:10%]", "x" * 100],
)
def test_a_split_may_be_called_as_people_call_them(split):
    assert checked(example(split=split)).split == file_stem(split) == split


@pytest.mark.parametrize(
    "split",
    ["../../escaped/x", "/tmp/x", "a/b", "a\\b", "..", ".hidden", "a/", "x" * 101, "試" * 80],
)
def test_a_split_that_cannot_be_a_file_is_refused(split):
    with pytest.raises(Refused, match="cannot be the name of a file"):
        checked(example(split=split))
    with pytest.raises(DataError, match="prepare the store again"):
        file_stem(split)
