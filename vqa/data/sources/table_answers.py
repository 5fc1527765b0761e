"""What a person's table says of the answers: one or many, choices, and which choice is right."""

from __future__ import annotations

import ast
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from vqa.data.record import NO_LABEL
from vqa.data.sources.files import Unusable, as_text, kind_of, plain_number
from vqa.data.sources.table_columns import Columns, is_missing
from vqa.errors import DataError

LABELS = ("auto", "index", "index-from-1", "letter", "text")
"""How a label can name the right choice; `auto` takes any but what can be read in two ways."""

WITHHELD = "-1"
"""A label that says that the right choice is not told."""
POSITION = "; if it is a position, say --label-is index, or index-from-1"

_LETTER = re.compile(r"\(?([A-Za-z])[).:]?")
_TEXT = r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\""""
_ARRAY = re.compile(rf"\[\s*(?:{_TEXT})(?:\s+(?:{_TEXT}))+\s*\]", re.DOTALL)
"""Several texts without commas between them."""


class PastTheEnd(Unusable):
    """A label equal to the number of its choices: the last one's, if labels count from 1."""


@dataclass
class Origin:
    """Whether a table's labels count from 0.

    Attributes:
        has_zero: whether a label is 0.
        past: where labels stand that equal the number of their choices.
    """

    has_zero: bool = False
    past: list[str] = field(default_factory=list)

    def see(self, label: Any) -> None:
        """Take note of a label as it is written."""
        self.has_zero = self.has_zero or plain_number(str(label).strip()) == "0"

    def check(self) -> None:
        """Refuse labels that count from 1: read from 0, all but the last choice's would name a wrong one.

        Raises:
            DataError: they do, by all they show.
        """
        if self.past and not self.has_zero:
            raise DataError(
                f"{len(self.past):,} of the labels are the number of their choices, and none is 0",
                where=self.past[0],
                fix="say --label-is index-from-1; or index, if they do count from 0",
            )


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
        cells, first = self._choices(columns.cells(record, "choices"))
        answers = self.many(columns.value(record, "answers"), "answers")
        one = self.many(columns.value(record, "answer"), "answer")
        label = columns.value(record, "label")
        label = None if plain_number(str(label).strip()) == WITHHELD else label
        if not any(cell.strip() for cell in cells):
            said = answers or one or self.many(None if "choices" in columns else label, "label")
            return Answers(said, [], NO_LABEL)
        if label is not None:
            place = self.place(label, cells, first)
            return _answers(_agreeing(answers or one, cells, place), cells, place)
        if len(one) == 1:
            place = self._right(one[0].strip(), cells, first, "label" in columns)
            said = [_as_written(answer, cells) for answer in answers]
            return _answers(said or [cells[place]], cells, place)
        said = [_as_written(answer, cells) for answer in answers or one]
        return _answers(said, cells, _among(_most_common(said), cells) if said else NO_LABEL)

    def many(self, value: Any, field: str, *, blanks: bool = False) -> list[str]:
        """A cell as a list of texts: a list, a list written as text, separated texts, or one text.

        Args:
            value: what the cell holds.
            field: named in messages.
            blanks: whether nothing between two separators counts, as an empty text.

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
            value = self._split(value, blanks)
        items = value if isinstance(value, list | tuple) else [value]
        return [as_text(_inner(item), field) for item in items]

    def place(self, label: Any, choices: Sequence[str], first: int = 0) -> int:
        """The position of the choice that `label` names, by its text, number or letter.

        Args:
            label: what the cell holds.
            choices: at their places; one that is not there is blank.
            first: the number of the first one, where nothing else is said.

        Raises:
            PastTheEnd: it would name the last one if positions counted from 1.
            Unusable: it names none, or two.
        """
        text = as_text(label, "label").strip()
        readings = _AUTO[first] if self.label == "auto" else {self.label: _READINGS[self.label]}
        found = {
            how: at for how, read in readings.items() if (at := read(text, choices)) is not None
        }
        places = set(found.values())
        if len(places) > 1:
            raise Unusable(
                f"label {text!r} can be read as {' or as '.join(found)}; say which with --label-is"
            )
        if places:
            return places.pop()
        unsaid = self.label == "auto" and first == 0
        if unsaid and _by_index_from_1(text, choices) == len(choices) - 1:
            raise PastTheEnd(str(_not_among(text, choices)))
        raise _not_among(text, choices)

    def _right(self, answer: str, choices: Sequence[str], first: int, has_labels: bool) -> int:
        """The place of the choice that a single answer names; a number is a position only on the user's word.

        Raises:
            Unusable: it names none.
        """
        if self.label != "auto" and not has_labels:
            return self.place(answer, choices, first)
        found = (read(answer, choices) for read in (_by_text, _by_letter))
        place = next((place for place in found if place is not None), None)
        if place is None:
            position = plain_number(answer).isdecimal() and not has_labels
            raise _not_among(answer, choices, POSITION if position else "")
        return place

    def _choices(self, value: Any) -> tuple[list[str], int]:
        """The choices at the places that labels count, an empty one blank; and the number of the first place."""
        if isinstance(value, str) and value.lstrip().startswith("{"):
            value = _written(value, dict) or value
        if isinstance(value, Mapping):
            return self._choices_of(value)
        choices = self.many(value, "choices", blanks=True)
        if isinstance(value, str) and sum(bool(choice.strip()) for choice in choices) == 1:
            raise Unusable(f"one choice, {value[:40]!r}; give --separator if it holds several")
        return choices, 0

    def _choices_of(self, choices: Mapping[str, Any]) -> tuple[list[str], int]:
        """The choices of an object, {"A": "red", "B": "blue"}: at the places that its keys name where these are letters
        or numbers, and else in their order."""
        if any(isinstance(choice, list) for choice in choices.values()):
            names = ", ".join(map(str, choices))
            raise Unusable(
                f"the choices are an object of lists ({names[:40]}); --map choices=COLUMN.KEY reads one of them"
            )
        ordered = list(range(len(choices))), 0
        places, first = ordered if self.label.startswith("index") else _places(choices) or ordered
        cells = [""] * (1 + max(places, default=-1))
        for place, choice in zip(places, choices.values(), strict=True):
            cells[place] = "" if is_missing(choice) else as_text(choice, "choices")
        return cells, first

    def _split(self, value: str, blanks: bool) -> list[Any]:
        if value.lstrip().startswith("["):
            written: list[Any] | None = _written(value, list)
            if written is not None:
                return written
        if self.separator:
            parts = [part.strip() for part in value.split(self.separator)]
            return parts if blanks else [part for part in parts if part]
        return [value]


def _places(keys: Iterable[str]) -> tuple[list[int], int] | None:
    """The places that letters, or numbers one after another from 0 or 1, name, and the number of the first place; None
    where the keys are others."""
    names = [str(key).strip().upper() for key in keys]
    if all(re.fullmatch("[A-J]", name) for name in names) and len(set(names)) == len(names):
        return [ord(name) - ord("A") for name in names], 0
    for first in (0, 1):
        if sorted(names, key=_by_size) == [str(first + k) for k in range(len(names))]:
            return [int(name) - first for name in names], first
    return None


def _by_size(name: str) -> tuple[int, str]:
    return len(name), name


def reads_as_one(value: str) -> bool:
    """Whether a cell looks like a list and cannot be read as one."""
    text = value.strip()
    return text.startswith("[") and text.endswith("]") and _written(text, list) is None


def _written(value: str, kind: type) -> Any:
    """A list or an object as JSON, Python or NumPy write it, as tables saved by pandas have; None for another text."""
    readers: tuple[Callable[[str], Any], ...] = (json.loads, _array, ast.literal_eval)
    for read in readers:
        try:
            written = read(value.strip())
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        if isinstance(written, kind):
            return written
    return None


def _array(value: str) -> list[Any]:
    """A list of texts without commas between them: Python would make one text of them all.

    Raises:
        ValueError: it is something else.
    """
    if not _ARRAY.fullmatch(value):
        raise ValueError("no array")
    return [ast.literal_eval(text) for text in re.findall(_TEXT, value, re.DOTALL)]


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


def _answers(answers: list[str], cells: Sequence[str], place: int) -> Answers:
    """The answers with the choices that are not empty; `place` counts those that are.

    Raises:
        Unusable: the right choice is an empty one.
    """
    if place == NO_LABEL:
        label = NO_LABEL
    elif cells[place].strip():
        label = sum(bool(cell.strip()) for cell in cells[:place])
    else:
        raise Unusable(f"the right choice, number {place + 1} of {len(cells)}, is empty")
    return Answers(answers, [cell for cell in cells if cell.strip()], label)


def _not_among(answer: str, choices: Sequence[str], fix: str = "") -> Unusable:
    count = sum(bool(choice.strip()) for choice in choices)
    return Unusable(f"the right answer {answer!r} is not among the {count} choices{fix}")


def _among(answer: str, choices: Sequence[str]) -> int:
    place = _by_text(answer.strip(), choices)
    if place is None:
        raise _not_among(answer, choices)
    return place


def _agreeing(answers: list[str], choices: Sequence[str], place: int) -> list[str]:
    """The answers, which must hold the right choice if there are any.

    Raises:
        Unusable: they do not; or a single answer names another choice.
    """
    if not answers:
        return [choices[place]]
    written = [_as_written(answer, choices) for answer in answers]
    if choices[place].strip() in (answer.strip() for answer in written):
        return written
    if len(answers) == 1 and _by_letter(answers[0].strip(), choices) == place:
        return [choices[place]]
    raise Unusable(f"the label says {choices[place]!r}, but the answer is {answers[0]!r}")


def _as_written(answer: str, choices: Sequence[str]) -> str:
    """An answer, written as the choice that it names."""
    place = _by_text(answer.strip(), choices)
    return answer if place is None else choices[place]


def _most_common(answers: Sequence[str]) -> str:
    return Counter(answers).most_common(1)[0][0]


def _by_text(text: str, choices: Sequence[str]) -> int | None:
    """The choice written so; else the same number written otherwise, 2 as 2.0."""
    written = [choice.strip() for choice in choices]
    if text in written:
        return written.index(text)
    numbers = [plain_number(choice) for choice in written]
    number = plain_number(text)
    return numbers.index(number) if number in numbers else None


def _by_index(text: str, choices: Sequence[str], first: int = 0) -> int | None:
    number = plain_number(text)
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
_AUTO = (
    {how: read for how, read in _READINGS.items() if how != "index-from-1"},
    {how: read for how, read in _READINGS.items() if how != "index"},
)
"""Those of a label of which nothing else is said, where choices count from 0 and from 1."""
