"""How many words questions have, and how much of each split's questions the words of training cover."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vqa.data.store import Store
from vqa.data.text import UNKNOWN, QuestionTokenizer, Texts

LEAST_COUNTS = (1, 2, 5)
"""As `data.min_word_count`: how often a word stands in training at least."""

WORD = r"\p{Han}|[^\s\p{Han}]+"


def word_counts(texts: pa.ChunkedArray) -> np.ndarray:
    """How many words each text has, a Chinese character being one as to the tokenizer; [texts]."""
    counts: np.ndarray = pc.count_substring_regex(texts, pattern=WORD).to_numpy()
    return counts


def word_coverage(store: Store, split: np.ndarray, train: str) -> list[dict[str, Any]]:
    """For each least count and split the percentage of words known, and of questions known in full.

    Args:
        store: an open store.
        split: the name of each question's split; [questions].
        train: the split that words are learnt from.

    Returns:
        Objects with `min_word_count`, `vocabulary` (distinct words), `split`, `words_percent`, `questions_percent`.
    """
    asked = store.example_table.column("question").combine_chunks().dictionary_encode()
    questions = asked.dictionary.to_pylist()
    code = asked.indices.to_numpy()
    times = {
        name: np.bincount(code[split == name], minlength=len(questions))
        for name in store.manifest.splits
    }
    learnt = np.flatnonzero(times[train])
    tokenizer = QuestionTokenizer.build(questions[at] for at in learnt)
    texts = tokenizer.encode(questions)
    counts = np.bincount(
        texts.ids, weights=np.repeat(times[train], texts.lengths), minlength=len(tokenizer)
    )
    counts[tokenizer.words.index(UNKNOWN)] = 0
    return [
        {"min_word_count": least, "split": name, **_covered(texts, counts >= least, weight)}
        for least in LEAST_COUNTS
        for name, weight in times.items()
    ]


def _covered(texts: Texts, known: np.ndarray, weight: np.ndarray) -> dict[str, Any]:
    """What a vocabulary (a mask over words) knows of questions that stand so often."""
    said = known[texts.ids]
    whole = np.logical_and.reduceat(said, texts.offsets[:-1])
    spread = np.repeat(weight, texts.lengths)
    return {
        "vocabulary": int(known.sum()),
        "words_percent": round(100 * float((said * spread).sum() / spread.sum()), 2),
        "questions_percent": round(100 * float((whole * weight).sum() / weight.sum()), 2),
    }
