"""What is in a store: counts, lengths, answers, leakage, coverage, and what it will cost.

Everything is counted over Arrow columns and NumPy arrays, so that 400,000 questions take seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vqa.data.store import Store

TOP = 10
VOCABULARY_SIZES = (1000, 3000, None)
"""Answer vocabularies whose coverage is told; None is every answer."""
TOKEN_BYTES = 4
OFFSET_BYTES = 8


@dataclass(frozen=True)
class Texts:
    """Distinct texts, outer blanks off, and where they stand.

    Attributes:
        values: the distinct texts.
        code: for every occurrence its place in `values`; int64 [occurrences].
        question: for every occurrence the row of its question; int64 [occurrences].
    """

    values: list[str]
    code: np.ndarray
    question: np.ndarray


class Answers:
    """The answers and choices of a store as numbers over one list of texts."""

    def __init__(self, store: Store) -> None:
        table = store.examples.data
        self.answers = _flatten(table.column("answers"))
        self.choices = _flatten(table.column("choices"))
        self.split = np.asarray(table.column("split").to_pylist())
        self._questions = table.num_rows

    @cached_property
    def main(self) -> np.ndarray:
        """For every question the place of its most frequent answer, the first of equals; −1 without
        any; int64 [questions]."""
        main = np.full(self._questions, -1, dtype=np.int64)
        if not len(self.answers.code):
            return main
        key = self.answers.question * len(self.answers.values) + self.answers.code
        distinct, first, count = np.unique(key, return_index=True, return_counts=True)
        question, code = np.divmod(distinct, len(self.answers.values))
        order = np.lexsort((first, -count, question))
        chosen = order[np.unique(question[order], return_index=True)[1]]
        main[question[chosen]] = code[chosen]
        return main

    def vocabulary(self, rows: np.ndarray, size: int | None) -> np.ndarray:
        """The places of the `size` most frequent answers to the questions `rows` (a mask)."""
        counts = self.counts(rows)
        ranked = np.lexsort((np.asarray(self.answers.values), -counts)) if len(counts) else counts
        return ranked[: np.count_nonzero(counts)][:size]

    def counts(self, rows: np.ndarray) -> np.ndarray:
        """How often each text answers the questions `rows`; int64 [values]."""
        code = self.answers.code[rows[self.answers.question]]
        return np.bincount(code, minlength=len(self.answers.values))


def inspect(store: Store, image_size: tuple[int, int] = (64, 64)) -> dict[str, Any]:
    """Everything that `vqa inspect` tells, as plain values.

    Args:
        store: an open store.
        image_size: height and width that pictures will be brought to, for the memory estimate.

    Returns:
        `splits` (one object a split), `leakage` (one a pair of splits that share images),
        `coverage` (one a split and size of vocabulary), `estimate` in bytes, and the manifest's
        facts.
    """
    answers = Answers(store)
    manifest = store.manifest
    train = "train" if "train" in manifest.splits else ""
    return {
        "store": str(store.path),
        "source": manifest.source,
        "fingerprint": manifest.fingerprint,
        "questions": sum(manifest.splits.values()),
        "images": manifest.images,
        "text_only": manifest.text_only,
        "rejected": manifest.rejected,
        "splits": {name: _split(store, answers, name) for name in manifest.splits},
        "leakage": leakage(store, answers.split),
        "coverage": coverage(answers, train, list(manifest.splits)) if train else [],
        "estimate": estimate(store, image_size),
    }


def _split(store: Store, answers: Answers, name: str) -> dict[str, Any]:
    rows = answers.split == name
    table = store.examples.data.filter(pa.array(rows))
    main = answers.main[rows]
    return {
        "questions": int(rows.sum()),
        "images": len(np.unique(store.image_rows[rows])),
        "question_words": _lengths(table.column("question")),
        "question_types": _tally(table.column("question_type")),
        "answer_types": _tally(table.column("answer_type")),
        "answers": _distribution(answers.answers.values, main[main >= 0], int((main < 0).sum())),
        "answers_per_question": _spread(pc.list_value_length(table.column("answers"))),
        "choices": _choices(table),
    }


def _lengths(questions: pa.ChunkedArray) -> dict[str, float]:
    """Words a question."""
    words = pc.count_substring_regex(questions, pattern=r"\S+").to_numpy()
    return {
        "min": int(words.min()),
        "mean": round(float(words.mean()), 2),
        "p95": float(np.percentile(words, 95)),
        "max": int(words.max()),
    }


def _tally(column: pa.ChunkedArray) -> dict[str, int]:
    """How often each value occurs, most frequent first; nothing where all are empty."""
    counts = {item["values"]: item["counts"] for item in pc.value_counts(column).to_pylist()}
    if set(counts) == {""}:
        return {}
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _distribution(values: list[str], main: np.ndarray, without: int) -> dict[str, Any]:
    """Each question counts once, by its most frequent answer."""
    codes, counts = np.unique(main, return_counts=True)
    order = np.lexsort((codes, -counts))[:TOP]
    top = {values[codes[k]]: int(counts[k]) for k in order}
    majority = round(100 * int(counts.max()) / len(main), 2) if len(main) else None
    return {"distinct": len(codes), "without": without, "majority_percent": majority, "top": top}


def _spread(lengths: pa.ChunkedArray) -> dict[str, int]:
    """How many questions have so many of something."""
    numbers, counts = np.unique(lengths.to_numpy(), return_counts=True)
    return {str(n): int(count) for n, count in zip(numbers, counts, strict=True)}


def _choices(table: pa.Table) -> dict[str, Any] | None:
    """Choices a question, chance level, and where the right choice stands; None without choices."""
    count = pc.list_value_length(table.column("choices")).to_numpy()
    offered = count[count > 0]
    if not len(offered):
        return None
    label = table.column("label").to_numpy()[count > 0]
    places, times = np.unique(label[label >= 0], return_counts=True)
    return {
        "questions": len(offered),
        "per_question": _spread(pc.list_value_length(table.column("choices"))),
        "chance_percent": round(100 * float((1 / offered).mean()), 2),
        "right_place": {str(p): int(n) for p, n in zip(places, times, strict=True)},
    }


def leakage(store: Store, split: np.ndarray) -> list[dict[str, Any]]:
    """Images that two splits share: by id, and by the content of their files.

    `questions` counts the questions of the second split about a shared image. A store made from
    text only knows no content.
    """
    content = store.images.data.column("sha256").combine_chunks().dictionary_encode().indices
    images = {name: np.unique(store.image_rows[split == name]) for name in store.manifest.splits}
    found = []
    for first, second in combinations(images, 2):
        shared = np.intersect1d(images[first], images[second])
        same = shared
        if not store.manifest.text_only:
            files = content.to_numpy()
            kept = np.isin(files[images[second]], files[images[first]])
            same = images[second][kept]
        if len(shared) or len(same):
            asked = np.isin(store.image_rows[split == second], np.union1d(shared, same))
            found.append(
                {
                    "splits": [first, second],
                    "by_id": len(shared),
                    "by_content": None if store.manifest.text_only else len(same),
                    "questions": int(asked.sum()),
                }
            )
    return found


def coverage(answers: Answers, train: str, splits: list[str]) -> list[dict[str, Any]]:
    """How much of each split the most frequent answers of `train` can say, in percent.

    `questions`: those whose most frequent answer is in the vocabulary; `choices`: the choices that
    are; `right_choices` likewise counts only questions with choices.
    """
    rows = answers.split == train
    told = []
    for size in VOCABULARY_SIZES:
        chosen = answers.vocabulary(rows, size)
        known = np.zeros(len(answers.answers.values), dtype=bool)
        known[chosen] = True
        known_texts = {answers.answers.values[k] for k in chosen}
        choices = np.asarray([text in known_texts for text in answers.choices.values], dtype=bool)
        for name in splits:
            here = answers.split == name
            told.append(
                {
                    "answers": "all" if size is None else size,
                    "vocabulary": len(chosen),
                    "split": name,
                    "questions_percent": _share(known, answers.main[here & (answers.main >= 0)]),
                    "choices_percent": _share(
                        choices, answers.choices.code[here[answers.choices.question]]
                    ),
                }
            )
        if size is not None and len(chosen) < size:
            return _all(told, size)
    return told


def _all(told: list[dict[str, Any]], size: int) -> list[dict[str, Any]]:
    """The vocabulary holds everything already: larger ones are the same."""
    return [{**item, "answers": "all"} if item["answers"] == size else item for item in told]


def _share(known: np.ndarray, places: np.ndarray) -> float | None:
    return round(100 * float(known[places].mean()), 2) if len(places) else None


def estimate(store: Store, image_size: tuple[int, int]) -> dict[str, int]:
    """Bytes on disk and in memory: pictures as uint8 [images, 3, height, width], and the words."""
    words = pc.sum(
        pc.count_substring_regex(store.examples.data.column("question"), pattern=r"\w+|[^\w\s]+")
    ).as_py()
    questions = store.examples.num_rows
    height, width = image_size
    return {
        "disk_bytes": sum(file.stat().st_size for file in store.path.iterdir() if file.is_file()),
        "image_height": height,
        "image_width": width,
        "image_bytes": 0
        if store.manifest.text_only
        else store.manifest.images * 3 * height * width,
        "token_bytes": words * TOKEN_BYTES + (questions + 1) * OFFSET_BYTES,
    }


def _flatten(column: pa.ChunkedArray) -> Texts:
    lists = column.combine_chunks()
    flat = pc.utf8_trim_whitespace(pc.list_flatten(lists)).dictionary_encode()
    question = pc.list_parent_indices(lists).to_numpy().astype(np.int64)
    return Texts(flat.dictionary.to_pylist(), flat.indices.to_numpy().astype(np.int64), question)
