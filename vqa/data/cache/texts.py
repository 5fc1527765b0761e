"""Words and questions as numbers, kept: what a vocabulary was learnt from and a split was tokenised to.

One safetensors file each. Its name is a digest of all that decides its content, so another store, split, share,
tokenizer or vocabulary has another file; a hash over the arrays is compared at every reading.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Callable, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import xxhash

from vqa.data.cache.place import is_there, place
from vqa.data.store import Store
from vqa.data.table import QuestionTable, arrays_of, build_table, table_of
from vqa.data.text import WORD_RULES, AnswerVocabulary, QuestionTokenizer
from vqa.outputs import exchanged

FORMAT_VERSION = 1
ENDING = ".safetensors"
Arrays = dict[str, np.ndarray]
Strings = dict[str, str]


def learnt_texts(
    store: Store, rows: np.ndarray, min_word_count: int, max_answers: int, rules: int = WORD_RULES
) -> tuple[QuestionTokenizer, AnswerVocabulary]:
    """Tokenizer and answer vocabulary of the questions at `rows`, learnt once.

    Args:
        min_word_count: rarer words become the unknown word.
        max_answers: size of the answer vocabulary.
        rules: how texts are cut into words.
    """

    def learn() -> tuple[Arrays, Strings]:
        answers, choices = store.column("answers", rows), store.column("choices", rows)
        words = chain(store.column("question", rows), chain.from_iterable(choices))
        tokenizer = QuestionTokenizer.build(words, min_word_count, rules)
        vocabulary = AnswerVocabulary.build(answers, max_answers)
        return {}, {"tokenizer": tokenizer.to_text(), "answers": vocabulary.to_text()}

    made_from: dict[str, Any] = {"rows": _digest(rows.astype(np.int64))}
    made_from["min_word_count"] = min_word_count
    made_from |= {"max_answers": max_answers}
    if rules > 1:  # the first had no number
        made_from["rules"] = rules
    _, texts = kept(store, "texts", made_from, learn)
    return (
        QuestionTokenizer.from_text(texts["tokenizer"]),
        AnswerVocabulary.from_text(texts["answers"]),
    )


def kept_table(
    store: Store, rows: np.ndarray, tokenizer: QuestionTokenizer, vocabulary: AnswerVocabulary
) -> QuestionTable:
    """The examples at `rows` of `store`, tokenised once (see `build_table`)."""

    def make() -> tuple[Arrays, Strings]:
        return arrays_of(build_table(store, rows, tokenizer, vocabulary)), {}

    made_from = {
        "rows": _digest(rows.astype(np.int64)),
        "tokenizer": _digest(tokenizer.to_text().encode()),
        "answers": _digest(vocabulary.to_text().encode()),
    }
    return table_of(kept(store, "table", made_from, make)[0])


def kept(
    store: Store,
    kind: str,
    made_from: Mapping[str, Any],
    make: Callable[[], tuple[Arrays, Strings]],
) -> tuple[Arrays, Strings]:
    """Arrays and texts from their file, or made and written there; without a file where none can be written."""
    key = {"format": FORMAT_VERSION, "store": store.fingerprint, "kind": kind, **made_from}
    name = f"{kind}-{_digest(json.dumps(key, sort_keys=True).encode())[:16]}{ENDING}"
    path = place(store, name)
    if is_there(path):
        try:
            return _read(path)
        except Exception as error:  # what a corrupt file raises is not specified
            print(f"vqa: {path}: unreadable ({error}); it is made anew", file=sys.stderr)
    arrays, texts = make()
    _write(path, arrays, texts)
    return arrays, texts


def _read(path: Path) -> tuple[Arrays, Strings]:
    """Raises whatever a damaged file makes the library raise, or `ValueError`."""
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        texts = dict(file.metadata() or {})
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    if texts.pop("hash", "") != _content(arrays, texts):
        raise ValueError("it was changed")
    return arrays, texts


def _write(path: Path, arrays: Arrays, texts: Strings) -> None:
    """Write whole, or not at all: a cache is no reason to fail."""
    from safetensors.numpy import save

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with exchanged(path, durably=False) as file:
            os.fchmod(file.fileno(), 0o644)  # whoever may read the store may read this
            file.write(save(arrays, metadata={**texts, "hash": _content(arrays, texts)}))
    except OSError as error:
        print(f"vqa: {path}: not kept ({error})", file=sys.stderr)


def _content(arrays: Arrays, texts: Strings) -> str:
    state = xxhash.xxh3_64()
    for name in sorted(arrays):
        state.update(f"{name} {arrays[name].dtype} {arrays[name].shape}".encode())
        state.update(np.ascontiguousarray(arrays[name]).data)
    state.update(json.dumps(texts, sort_keys=True).encode())
    return state.hexdigest()


def _digest(data: Any) -> str:
    return hashlib.sha256(data).hexdigest()
