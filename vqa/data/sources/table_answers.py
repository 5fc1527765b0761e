"""What a person's table says of the answers: one or many, choices, and which choice is right."""

from __future__ import annotations

import ast
import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vqa.data.record import NO_LABEL
from vqa.data.sources.files import Unusable, as_text, kind_of
from vqa.data.sources.table_columns import Columns

LABELS = ("auto", "index", "index-from-1", "letter", "text")
"""How a label can name the right choice; `auto` takes any but what can be read in two ways."""

_LETTER = re.compile(r"\(?([A-Za-z])[).:]?")


@dataclass(frozen=True)
class Answers:
    """What an example says of its answers; `answers` is empty where they are withheld."""

    answers: list[str]
    choices: list[str]
    label: int


@dataclass(frozen=True)
class AnswerReader:
    """Reads answers, choices and label of a record.

    Args:
        separator: between the answers or choices of one cell; none by default.
        label: one of `LABELS`.
    """

    separator: str | None = None
    label: str = "auto"

    def read(self, record: Mapping[str, Any], columns: Columns) -> Answers:
        """The answers of a record.

        Raises:
            Unusable: something is of the wrong kind, or label and answer contradict each other.
        """
        choices = self._choices(columns.value(record, "choices"))
        answers = self.many(columns.value(record, "answers"), "answers")
        one = self.many(columns.value(record, "answer"), "answer")
        label = columns.value(record, "label")
        label = None if label in (NO_LABEL, str(NO_LABEL)) else label
        if not choices:
            said = answers or one or self.many(None if "choices" in columns else label, "label")
            return Answers(said, [], NO_LABEL)
        if label is not None:
            place = self.place(label, choices)
            return Answers(_agreeing(answers or one, choices, place), choices, place)
        if len(one) == 1:
            text = _by_text(one[0].strip(), choices)
            place = self.place(one[0], choices) if text is None else text
            return Answers(answers or [choices[place]], choices, place)
        said = answers or one
        return Answers(said, choices, _among(_most_common(said), choices) if said else NO_LABEL)

    def many(self, value: Any, field: str) -> list[str]:
        """A cell as a list of texts: a list, a list written as text, separated texts, or one text.

        Raises:
            Unusable: another kind of value; an object's values could be counts as well as answers.
        """
        if value is None:
            return []
        if isinstance(value, Mapping):
            raise Unusable(
                f"the {field} is an object ({', '.join(map(str, value))[:40]}); a text or a list of texts"
                f" was expected (--map {field}=COLUMN.KEY reads one key of it)"
            )
        if isinstance(value, str):
            value = self._split(value)
        items = value if isinstance(value, list | tuple) else [value]
        return [as_text(_inner(item), field) for item in items]

    def place(self, label: Any, choices: Sequence[str]) -> int:
        """The position of the choice that `label` names, by its text, number or letter.

        Raises:
            Unusable: it names none, or two.
        """
        text = as_text(label, "label").strip()
        readings = _READINGS if self.label == "auto" else {self.label: _READINGS[self.label]}
        if self.label == "auto":
            readings = {how: read for how, read in readings.items() if how != "index-from-1"}
        found = {
            how: at for how, read in readings.items() if (at := read(text, choices)) is not None
        }
        places = set(found.values())
        if len(places) > 1:
            raise Unusable(
                f"label {text!r} can be read as {' or as '.join(found)}; say which with --label-is"
            )
        if not places:
            raise Unusable(f"the right answer {text!r} is not among the {len(choices)} choices")
        return places.pop()

    def _choices(self, value: Any) -> list[str]:
        if isinstance(value, Mapping):  # {"A": "red", "B": "blue"}
            return [as_text(choice, "choices") for choice in value.values()]
        choices = self.many(value, "choices")
        if isinstance(value, str) and len(choices) == 1:
            raise Unusable(f"one choice, {value[:40]!r}; give --separator if it holds several")
        return choices

    def _split(self, value: str) -> list[Any]:
        if value.lstrip().startswith("["):
            written = _written_list(value)
            if written is not None:
                return written
        if self.separator:
            return [part.strip() for part in value.split(self.separator) if part.strip()]
        return [value]


def _written_list(value: str) -> list[Any] | None:
    """A list written as JSON or as Python writes it, as tables saved by pandas have."""
    readers: tuple[Callable[[str], Any], ...] = (json.loads, ast.literal_eval)
    for read in readers:
        try:
            written = read(value.strip())
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        if isinstance(written, list):
            return written
    return None


def _inner(item: Any) -> Any:
    """The text of an answer that is an object, as in VQA's files."""
    if isinstance(item, Mapping):
        for key in ("answer", "text"):
            if key in item:
                return item[key]
        raise Unusable(f"an answer without 'answer' or 'text' in it ({', '.join(map(str, item))})")
    if item is None or isinstance(item, list):
        raise Unusable(f"text or a number was expected in the list, not {kind_of(item)}")
    return item


def _among(answer: str, choices: Sequence[str]) -> int:
    place = _by_text(answer.strip(), choices)
    if place is None:
        raise Unusable(f"the right answer {answer!r} is not among the {len(choices)} choices")
    return place


def _agreeing(answers: list[str], choices: Sequence[str], place: int) -> list[str]:
    """The answers, which must hold the right choice if there are any.

    Raises:
        Unusable: they do not; or a single answer names another choice.
    """
    if not answers:
        return [choices[place]]
    if _by_text(choices[place].strip(), answers) is not None:
        return answers
    if len(answers) == 1 and _by_letter(answers[0].strip(), choices) == place:
        return [choices[place]]
    raise Unusable(f"the label says {choices[place]!r}, but the answer is {answers[0]!r}")


def _most_common(answers: Sequence[str]) -> str:
    return Counter(answers).most_common(1)[0][0]


def _by_text(text: str, choices: Sequence[str]) -> int | None:
    return next((i for i, choice in enumerate(choices) if choice.strip() == text), None)


def _by_index(text: str, choices: Sequence[str], first: int = 0) -> int | None:
    number = text.removesuffix(".0")
    place = int(number) - first if number.isdecimal() and len(number) < 10 else -1
    return place if 0 <= place < len(choices) else None


def _by_index_from_1(text: str, choices: Sequence[str]) -> int | None:
    return _by_index(text, choices, first=1)


def _by_letter(text: str, choices: Sequence[str]) -> int | None:
    match = _LETTER.fullmatch(text)
    place = ord(match[1].upper()) - ord("A") if match else -1
    return place if 0 <= place < len(choices) else None


_READINGS: dict[str, Callable[[str, Sequence[str]], int | None]] = {
    "text": _by_text,
    "index": _by_index,
    "index-from-1": _by_index_from_1,
    "letter": _by_letter,
}
