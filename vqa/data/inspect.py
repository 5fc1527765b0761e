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

from vqa.data.cache.place import cached
from vqa.data.distributions import distributions
from vqa.data.record import by_reason
from vqa.data.store import Store
from vqa.data.words import word_counts, word_coverage

TOP = 10
REASONS = 30
VOCABULARY_SIZES = (1000, 3000, None)
"""Answer vocabularies whose coverage is told; None is every answer."""
TOKEN_BYTES = 4
OFFSET_BYTES = 8
QUESTION_BYTES = 4 * 8
"""Row, image, label and first choice of a question."""
ANSWER_BYTES = 8 + 4
"""Place in the vocabulary and weight."""
CHOICE_BYTES = 2 * 8
"""Text and place in the vocabulary."""


@dataclass(frozen=True)
class Occurrences:
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
        table = store.example_table
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
        `repeated` (one a pair of splits that share questions),
        `coverage` (one a split and size of vocabulary), `words` (one a split and least count of a
        word), `distributions` (see there), `rejected_reasons`, `estimate` in bytes, `cache` (what is
        kept of the store, see `vqa cache`), and the manifest's facts.

    Raises:
        DataError: the store is damaged.
    """
    store.validate()
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
        "repeated": repeated(store, answers.split),
        "coverage": coverage(answers, train, list(manifest.splits)) if train else [],
        "words": word_coverage(store, answers.split, train) if train else [],
        "distributions": distributions(store, answers.split, answers.main, answers.answers.values),
        "rejected_reasons": rejected_reasons(store),
        "estimate": estimate(store, image_size),
        "cache": [one.to_json() for one in cached(store)],
    }


def rejected_reasons(store: Store) -> list[dict[str, Any]]:
    """Why records were not used, the most frequent reason first, each with the first such record and
    its picture where that is at fault; reasons that differ in quoted words and numbers are one."""
    if not store.manifest.rejected:
        return []
    return [
        {
            "reason": reason,
            "records": len(rows),
            "first": rows[0].where,
            "image": rows[0].image,
        }
        for reason, rows in by_reason(store.rejected())[:REASONS]
    ]


def _split(store: Store, answers: Answers, name: str) -> dict[str, Any]:
    rows = answers.split == name
    table = store.example_table.filter(pa.array(rows))
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
    words = word_counts(questions)
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
        "right_place_p": even_places(offered[label >= 0], label[label >= 0]),
    }


def even_places(offered: np.ndarray, label: np.ndarray) -> float | None:
    """How probable a spread of the right choice's places at least this uneven is by chance.

    Pearson's χ² test against every place being alike, summed over the groups of questions with the
    same number of choices (degrees of freedom: Σ (choices − 1)). None where no question has two.
    A small number says that the place gives the answer away.

    Args:
        offered: choices of each question; int64 [questions].
        label: place of its right choice; int64 [questions].
    """
    from scipy.special import chdtrc

    statistic, freedom = 0.0, 0
    for number in np.unique(offered[offered > 1]):
        times = np.bincount(label[offered == number], minlength=number)
        statistic += float(((times - times.mean()) ** 2).sum() / times.mean())
        freedom += int(number) - 1
    return float(chdtrc(freedom, statistic)) if freedom else None


def leakage(store: Store, split: np.ndarray) -> list[dict[str, Any]]:
    """Images that two splits share: by id, and by the content of their files.

    `questions` counts the questions of the second split about a shared image. A store made from
    text only knows no content.
    """
    content = store.image_table.column("sha256").combine_chunks().dictionary_encode().indices
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


def repeated(store: Store, split: np.ndarray) -> list[dict[str, Any]]:
    """Questions of one split that an earlier one asks too, word for word.

    `questions` counts those of the second split, `same_image` those of them that the first asks
    about the same image (by id).
    """
    texts = store.example_table.column("question").combine_chunks().dictionary_encode()
    asked = texts.indices.to_numpy().astype(np.int64)
    about = asked * store.image_table.num_rows + store.image_rows
    found = []
    for first, second in combinations(store.manifest.splits, 2):
        earlier, later = split == first, split == second
        same = int(np.isin(asked[later], asked[earlier]).sum())
        if same:
            found.append(
                {
                    "splits": [first, second],
                    "questions": same,
                    "percent": round(100 * same / int(later.sum()), 2),
                    "same_image": int(np.isin(about[later], about[earlier]).sum()),
                }
            )
    return found


def coverage(answers: Answers, train: str, splits: list[str]) -> list[dict[str, Any]]:
    """How much of each split the most frequent answers of `train` can say, in percent.

    `questions_percent`: questions whose most frequent answer is in the vocabulary;
    `choices_percent`: choices that are, None where there are none.
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
    """Bytes on disk and in memory: pictures as uint8 [images, 3, height, width], the words, and the
    table of questions (places, labels, choices, and the answers padded to the longest list)."""
    table = store.example_table
    words = pc.sum(
        pc.count_substring_regex(table.column("question"), pattern=r"\w+|[^\w\s]+")
    ).as_py()
    questions = table.num_rows
    answers = pc.max(pc.list_value_length(table.column("answers"))).as_py()
    choices = pc.sum(pc.list_value_length(table.column("choices"))).as_py()
    height, width = image_size
    return {
        "disk_bytes": sum(file.stat().st_size for file in store.path.iterdir() if file.is_file()),
        "image_height": height,
        "image_width": width,
        "image_bytes": 0
        if store.manifest.text_only
        else store.manifest.images * 3 * height * width,
        "token_bytes": words * TOKEN_BYTES + (questions + 1) * OFFSET_BYTES,
        "table_bytes": questions * (QUESTION_BYTES + answers * ANSWER_BYTES)
        + choices * CHOICE_BYTES,
    }


def _flatten(column: pa.ChunkedArray) -> Occurrences:
    lists = column.combine_chunks()
    flat = pc.utf8_trim_whitespace(pc.list_flatten(lists)).dictionary_encode()
    question = pc.list_parent_indices(lists).to_numpy().astype(np.int64)
    return Occurrences(
        flat.dictionary.to_pylist(), flat.indices.to_numpy().astype(np.int64), question
    )
