"""Coverage of words, counted by hand."""

from __future__ import annotations

import pyarrow as pa

from vqa.data.inspect import inspect
from vqa.data.prepare import prepare
from vqa.data.text import QuestionTokenizer
from vqa.data.words import word_counts


def test_words_of_training_cover_the_others(tmp_path, make, rows_of) -> None:
    rows = [
        make.row(question="Is it red?"),
        make.row(question="Is it red?"),
        make.row(question="what is it"),
        make.row(split="val", question="is it blue?"),
        make.row(split="val", question="WHAT is it"),
    ]
    found = inspect(prepare(rows_of(rows), tmp_path / "store"))["words"]
    by_key = {(item["min_word_count"], item["split"]): item for item in found}
    assert list(by_key)[:2] == [(1, "train"), (1, "val")]
    first, second = by_key[1, "val"], by_key[2, "val"]
    assert (first["vocabulary"], second["vocabulary"]) == (5, 4)  # what occurs once
    assert (first["words_percent"], first["questions_percent"]) == (85.71, 50.0)
    assert (second["words_percent"], second["questions_percent"]) == (71.43, 0.0)
    assert by_key[2, "train"]["words_percent"] == 90.91
    assert by_key[5, "train"] == {
        "min_word_count": 5,
        "split": "train",
        "vocabulary": 0,
        "words_percent": 0.0,
        "questions_percent": 0.0,
    }


def test_a_chinese_character_is_a_word_as_it_is_to_the_tokenizer() -> None:
    texts = ["is it red", "这是什么形状", "这是 red 吗", "", " größer  als "]
    assert word_counts(pa.chunked_array([texts])).tolist() == [3, 6, 4, 0, 2]
    read = QuestionTokenizer.build(texts).encode(texts)
    assert read.lengths.tolist()[:3] == [3, 6, 4]
