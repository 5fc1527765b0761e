"""How a store's splits differ: counts of one thing beside each other, few enough for a chart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vqa.data.store import Store
from vqa.data.words import word_counts

TOP = 20
"""So many values are told of what has no order, the most frequent ones."""
LAST = 40
"""Larger numbers are counted together."""


def distributions(
    store: Store, split: np.ndarray, main: np.ndarray, answers: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Counts by split of each question's words, answer, types, choices, and the right choice's place.

    Args:
        store: an open store.
        split: the name of each question's split; [questions].
        main: the place of each question's most frequent answer in `answers`, −1 without any; int64 [questions].
        answers: distinct texts.

    Returns:
        For each of `words, answers, question_types, answer_types, choices, right_place` the `labels`, the number
        of `distinct` values, under `splits` the counts of the labels, and under `rest` how many questions have
        another value. What no question has is left out.
    """
    table, names = store.example_table, list(store.manifest.splits)
    groups = [split == name for name in names]
    words = word_counts(table.column("question"))
    offered = pc.list_value_length(table.column("choices")).to_numpy()
    label = table.column("label").to_numpy()
    made = {
        "words": _numbers(words, names, groups),
        "answers": _texts(main, answers, names, groups),
        "question_types": _column(table.column("question_type"), names, groups),
        "answer_types": _column(table.column("answer_type"), names, groups),
        "choices": _numbers(np.where(offered > 0, offered, -1), names, groups),
        "right_place": _numbers(np.where(offered > 0, label + 1, 0), names, groups, least=1),
    }
    return {name: found for name, found in made.items() if found["distinct"]}


def _numbers(
    values: np.ndarray, names: list[str], groups: list[np.ndarray], least: int = 0
) -> dict[str, Any]:
    """Numbers in their order; those below `least` say that there is none."""
    there = values >= least
    distinct = np.unique(values[there])
    clipped = np.minimum(values, LAST)
    shown = np.unique(clipped[there])
    labels = [f"{n}+" if n == LAST < distinct[-1] else str(n) for n in shown]
    counts = [
        np.bincount(clipped[group & there], minlength=LAST + 1)[shown].tolist() for group in groups
    ]
    return _told(labels, len(distinct), dict(zip(names, counts, strict=True)), {})


def _column(column: pa.ChunkedArray, names: list[str], groups: list[np.ndarray]) -> dict[str, Any]:
    """A column of texts, of which empty ones say that there is none."""
    coded = column.combine_chunks().dictionary_encode()
    texts = coded.dictionary.to_pylist()
    codes = coded.indices.to_numpy().astype(np.int64)
    if "" in texts:
        codes = np.where(codes == texts.index(""), -1, codes)
    return _texts(codes, texts, names, groups)


def _texts(
    codes: np.ndarray, texts: Sequence[str], names: list[str], groups: list[np.ndarray]
) -> dict[str, Any]:
    """The most frequent texts first; equals in alphabetical order."""
    total = np.bincount(codes[codes >= 0], minlength=len(texts))
    used = np.flatnonzero(total)
    likely = used[np.argsort(-total[used], kind="stable")][: 4 * TOP]
    shown = sorted(likely.tolist(), key=lambda code: (-total[code], texts[code]))[:TOP]
    counts, rest = {}, {}
    for name, group in zip(names, groups, strict=True):
        found = np.bincount(codes[group & (codes >= 0)], minlength=len(texts))
        counts[name] = found[shown].tolist()
        rest[name] = int(found.sum()) - sum(counts[name])
    return _told([texts[code] for code in shown], len(used), counts, rest)


def _told(
    labels: list[str], distinct: int, splits: dict[str, list[int]], rest: dict[str, int]
) -> dict[str, Any]:
    return {"labels": labels, "distinct": distinct, "splits": splits, "rest": rest}
