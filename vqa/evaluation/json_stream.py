"""Reading a large JSON object without holding all of it: one long list goes through a function record by record.

The parsed records of an annotation file take several times the memory of its text, and making them all before
the first is used takes twice the time of making one, using it and forgetting it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from vqa.errors import ResultError
from vqa.evaluation.files import STRICT, parse_json

_MARKS = {mark: re.compile(rf"[ \t\n\r]*{re.escape(mark)}[ \t\n\r]*") for mark in "{}[],:"}
_decode = json.JSONDecoder().raw_decode


def parse_object(text: str, where: str, key: str, read: Callable[[Iterator[Any]], Any]) -> Any:
    """Parse one JSON text; where it is an object with a list under `key`, that value is what `read` makes of the
    list's elements, which it is to use up.

    Raises:
        ResultError: it is no JSON; `where` says which.
    """
    try:
        return _Reader(text).whole(key, read)
    except (ValueError, RecursionError):
        return parse_json(text, where)


def parse_list(text: str, where: str) -> Any:
    """Parse one JSON text strictly, as `parse_json` does; of a list the message names the element that is wrong.

    Raises:
        ResultError: it is no such JSON; `where` and the position of the element say which.
    """
    try:
        return parse_json(text, where)
    except ResultError as error:
        place = f"{where}{_element_with_error(text)}"
        raise ResultError(error.what, where=place, fix=error.fix) from error


def _element_with_error(text: str) -> str:
    """The position of the first element of a list that `parse_json` refuses; empty where it is none of them."""
    reader, position = _Reader(text, STRICT.raw_decode), 0
    try:
        for _ in reader.elements():
            position += 1
    except (ValueError, RecursionError):
        return f"[{position}]" if position or text.lstrip().startswith("[") else ""
    return ""


class _Reader:
    """A place in a JSON text."""

    def __init__(self, text: str, decode: Callable[[str, int], tuple[Any, int]] = _decode) -> None:
        self._text = text
        self._at = 0
        self._decode = decode

    def whole(self, key: str, read: Callable[[Iterator[Any]], Any]) -> dict[str, Any]:
        """The object that the text is."""
        found = {}
        for _ in self._parts("{", "}"):
            name = self._value()
            if not isinstance(name, str):
                raise ValueError("a key is no string")
            if name in found:
                raise ValueError("a key stands twice")
            self._expect(":")
            streamed = name == key and self._text.startswith("[", self._at)
            found[name] = read(self.elements()) if streamed else self._value()
        if self._at != len(self._text):
            raise ValueError("something follows")
        return found

    def elements(self) -> Iterator[Any]:
        """The elements of the list that begins here."""
        for _ in self._parts("[", "]"):
            yield self._value()

    def _parts(self, opening: str, closing: str) -> Iterator[None]:
        """Stand before every part of the list or object that begins here, then behind it."""
        self._expect(opening)
        if self._accept(closing):
            return
        yield
        while self._accept(","):
            yield
        self._expect(closing)

    def _value(self) -> Any:
        value, self._at = self._decode(self._text, self._at)
        return value

    def _accept(self, mark: str) -> bool:
        found = _MARKS[mark].match(self._text, self._at)
        if found:
            self._at = found.end()
        return found is not None

    def _expect(self, mark: str) -> None:
        if not self._accept(mark):
            raise ValueError(f"no {mark}")
