"""A large object read record by record is the object that the JSON library reads."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vqa.errors import ResultError
from vqa.evaluation.files import parse_json
from vqa.evaluation.json_stream import parse_object

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.sampled_from(["info", "long", "other"]), VALUES)


def counted(records: Iterator[Any]) -> tuple[str, list[Any]]:
    """What the function made of the list, told apart from the list itself."""
    return "read", list(records)


@given(OBJECTS, st.sampled_from([None, 0, 2]))
def test_the_list_goes_through_the_function_and_all_else_stays(
    value: dict[str, Any], indent: int | None
) -> None:
    text = json.dumps(value, indent=indent)
    expected: dict[str, Any] = dict(value)
    if isinstance(value.get("long"), list):
        expected["long"] = ("read", value["long"])
    assert parse_object(f"\r\n {text}\t", "file", "long", counted) == expected


@given(OBJECTS, st.data())
def test_a_damaged_text_gives_the_message_of_the_strict_parser(
    value: dict[str, Any], data: st.DataObject
) -> None:
    text = json.dumps({"long": [1, {"a": 2}]} | value)
    cut = data.draw(st.integers(0, len(text) - 1))
    damaged = text[:cut] + data.draw(st.sampled_from(["", "]", "}", ",", "'", "1", "\x00"]))
    assert outcome(parse_object, damaged, "file", "long", list) == outcome(
        parse_json, damaged, "file"
    )


def outcome(parse: Callable[..., Any], *args: Any) -> tuple[Any, str]:
    """What a parser gives, and how it refuses."""
    try:
        return parse(*args), ""
    except ResultError as error:
        return None, str(error)


@pytest.mark.parametrize(
    "text",
    [
        *('{"long": [1,]}', '{"long": [1 2]}', '{"long": [,1]}', '{"long": [1],}', "{1: 2}"),
        *("{[]: 1}", '{"long": [1]} x', '{"long" [1]}', '{"a": 1 "long": []}', "", "{"),
        *('{"long": [1], "long": [2]}', '{"a": 1, "a": 2}'),
        '{"long": [' + "[" * 99_999,
    ],
)
def test_what_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(ResultError, match=r"not valid JSON|nested too deeply"):
        parse_object(text, "file", "long", counted)


def test_an_error_of_the_function_is_its_own() -> None:
    def read(records: Iterator[Any]) -> list[Any]:
        raise ResultError(f"found {next(records)}", where="record 0")

    with pytest.raises(ResultError, match="record 0: found 7"):
        parse_object('{"long": [7, broken', "file", "long", read)
