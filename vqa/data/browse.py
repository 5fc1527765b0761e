"""Looking through a store's examples: its columns as numbers, once, so that every choice among them is quick."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vqa.data.store import Store

MOST_VALUES = 500
"""So many types are offered for a choice."""


@dataclass(frozen=True)
class Wanted:
    """Which examples; an empty text chooses all.

    Attributes:
        split, question_type, answer_type: exactly these.
        text: stands in the question, in an answer or in a choice, whatever the case; or is an id.
    """

    split: str = ""
    question_type: str = ""
    answer_type: str = ""
    text: str = ""


class ExampleIndex:
    """The examples of a store by what people look for.

    Args:
        store: an open store.
    """

    def __init__(self, store: Store) -> None:
        self._table = store.example_table
        self._columns = {
            name: _Column(self._table.column(name))
            for name in ("split", "question_type", "answer_type")
        }

    def __len__(self) -> int:
        return int(self._table.num_rows)

    def values(self, column: str) -> list[str]:
        """What stands in `split`, `question_type` or `answer_type`, most frequent first, empty texts left out."""
        return self._columns[column].ranked

    def find(self, wanted: Wanted) -> np.ndarray:
        """The rows of the examples that are so, in the store's order; int64 [found]."""
        kept = np.ones(len(self), dtype=bool)
        for name, column in self._columns.items():
            value = getattr(wanted, name)
            if value:
                kept &= column.is_(value)
        if wanted.text:
            kept &= self._mentions(wanted.text)
        return np.flatnonzero(kept)

    def row(self, question_id: str) -> int | None:
        """The row of a question; None where there is none."""
        place = int(pc.index(self._table.column("question_id"), question_id).as_py())
        return place if place >= 0 else None

    def any_of(self, wanted: Wanted) -> int | None:
        """The row of one of them, taken at random; None where there is none."""
        rows = self.find(wanted)
        return int(rows[secrets.randbelow(len(rows))]) if len(rows) else None

    def _mentions(self, text: str) -> np.ndarray:
        found = self._questions.mentions(text)
        for words in self._said:
            found |= words.mentions(text, len(self))
        for name in ("question_id", "image_id"):
            found |= _array(pc.equal(self._table.column(name), text))
        return found

    @cached_property
    def _questions(self) -> _Column:
        return _Column(self._table.column("question"))

    @cached_property
    def _said(self) -> tuple[_Lists, _Lists]:
        return _Lists(self._table.column("answers")), _Lists(self._table.column("choices"))


class _Column:
    """A column of texts: each distinct one once, and for every row its place."""

    def __init__(self, column: pa.ChunkedArray) -> None:
        coded = column.combine_chunks().dictionary_encode()
        self.texts, self.code = coded.dictionary, coded.indices.to_numpy()

    @cached_property
    def ranked(self) -> list[str]:
        """The texts, most frequent first."""
        order = np.argsort(-np.bincount(self.code, minlength=len(self.texts)), kind="stable")
        return [text for text in self.texts.take(order[:MOST_VALUES]).to_pylist() if text]

    def is_(self, text: str) -> np.ndarray:
        """Whether each row holds just this; bool [rows]."""
        place = pc.index(self.texts, text).as_py()
        found: np.ndarray = self.code == place
        return found

    def mentions(self, text: str) -> np.ndarray:
        """Whether this stands in each row's text; bool [rows]."""
        found: np.ndarray = _holding(self.texts, text)[self.code]
        return found


class _Lists:
    """A column of lists of texts."""

    def __init__(self, column: pa.ChunkedArray) -> None:
        lists = column.combine_chunks()
        coded = pc.list_flatten(lists).dictionary_encode()
        self._texts, self._code = coded.dictionary, coded.indices.to_numpy()
        self._row = pc.list_parent_indices(lists).to_numpy()

    def mentions(self, text: str, rows: int) -> np.ndarray:
        """Whether this stands in one of each row's texts; bool [rows]."""
        found = np.zeros(rows, dtype=bool)
        found[self._row[_holding(self._texts, text)[self._code]]] = True
        return found


def _holding(texts: pa.Array, text: str) -> np.ndarray:
    return _array(pc.match_substring(texts, text, ignore_case=True))


def _array(column: pa.Array | pa.ChunkedArray) -> np.ndarray:
    array: np.ndarray = column.to_numpy(zero_copy_only=False)
    return array.astype(bool)
