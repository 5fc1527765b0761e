"""Examples of a store a page at a time: a filter over Arrow columns, which takes milliseconds on 400,000 questions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vqa.data.record import Example
from vqa.data.store import Store


@dataclass(frozen=True)
class Wanted:
    """Which examples; empty fields choose nothing.

    Attributes:
        split, question_type, answer_type: exactly these.
        text: stands in the question or in an answer, whatever the case.
        image_id: about this picture.
    """

    split: str = ""
    question_type: str = ""
    answer_type: str = ""
    text: str = ""
    image_id: str = ""


def find_rows(store: Store, wanted: Wanted) -> np.ndarray:
    """The rows that fit, in the store's order; int64 [found]."""
    table = store.examples.data
    fits = np.ones(table.num_rows, dtype=bool)
    for name in ("split", "question_type", "answer_type", "image_id"):
        value = getattr(wanted, name)
        if value:
            fits &= pc.equal(table.column(name), value).to_numpy(zero_copy_only=False)
    if wanted.text:
        fits &= _mentions(table, wanted.text)
    return np.flatnonzero(fits)


def read_examples(store: Store, rows: np.ndarray) -> list[Example]:
    """The examples at some rows."""
    return [store.example(int(row)) for row in rows]


def _mentions(table: pa.Table, text: str) -> np.ndarray:
    """Whether a text stands in the question or in one of the answers; bool [rows]."""
    asked = pc.match_substring(table.column("question"), text, ignore_case=True)
    found: np.ndarray = asked.to_numpy(zero_copy_only=False).copy()
    lists = table.column("answers").combine_chunks()
    said = pc.match_substring(pc.list_flatten(lists), text, ignore_case=True)
    found[pc.list_parent_indices(lists).to_numpy()[said.to_numpy(zero_copy_only=False)]] = True
    return found
