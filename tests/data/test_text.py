"""Words, vocabularies and soft scores."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vqa.data.text import AnswerVocabulary, QuestionTokenizer, soft_scores
from vqa.errors import ModelError

QUESTIONS = ["What colour is the circle?", "what shape is it?", "Is it red?"]


def test_words_are_lower_case_and_punctuation_stands_apart() -> None:
    tokenizer = QuestionTokenizer.build(QUESTIONS)
    assert tokenizer.tokens("WHAT colour?") == ["what", "colour", "?"]
    assert tokenizer.tokens("what zebra") == ["what", "[UNK]"]
    assert tokenizer.words[:2] == ("[PAD]", "[UNK]")


def test_each_chinese_character_is_a_word() -> None:
    tokenizer = QuestionTokenizer.build(["图像中有什么?", "MRI图像是什么"])
    assert tokenizer.tokens("什么图像mri?") == ["什", "么", "图", "像", "mri", "?"]
    assert tokenizer.pieces("图像X") == [("图", True), ("像", True), ("X", False)]


def test_a_typographic_apostrophe_is_an_apostrophe() -> None:
    tokenizer = QuestionTokenizer.build(["what's this"])
    assert tokenizer.tokens("what\u2019s \u2018this\u2019") == [
        *("what", "'", "s"),
        *("'", "this", "'"),
    ]


def test_older_rules_are_kept_with_what_was_learnt_by_them() -> None:
    """As a run that began with them goes on, and a tokenizer's own file."""
    texts = ["图像中有什么?", "what\u2019s this"]
    older = QuestionTokenizer.build(texts, rules=1)
    assert older.words[2:] == ("?", "s", "this", "what", "’", "图像中有什么")
    again = QuestionTokenizer.from_text(older.to_text())
    assert again.tokens("图像中有什么? what\u2019s") == ["图像中有什么", "?", "what", "’", "s"]
    assert (
        QuestionTokenizer.build(QUESTIONS, rules=1).words
        == QuestionTokenizer.build(QUESTIONS).words
    )


def test_rare_words_become_unknown() -> None:
    tokenizer = QuestionTokenizer.build(QUESTIONS, min_count=2)
    assert set(tokenizer.words) == {"[PAD]", "[UNK]", "?", "what", "is", "it"}


@given(st.lists(st.text(max_size=30), min_size=1, max_size=5))
def test_no_text_is_without_a_token(texts: list[str]) -> None:
    encoded = QuestionTokenizer.build(QUESTIONS).encode(texts)
    assert len(encoded) == len(texts)
    assert (encoded.lengths >= 1).all()
    assert encoded.offsets[-1] == len(encoded.ids)


def test_a_tokenizer_survives_its_file(tmp_path: Path) -> None:
    tokenizer = QuestionTokenizer.build(QUESTIONS)
    tokenizer.save(tmp_path / "t.json")
    again = QuestionTokenizer.load(tmp_path / "t.json")
    assert again.words == tokenizer.words
    (tmp_path / "t.json").write_text("{}")
    with pytest.raises(ModelError, match="not a tokenizer"):
        QuestionTokenizer.load(tmp_path / "t.json")


def test_the_most_frequent_answers_come_first_ties_by_alphabet(tmp_path: Path) -> None:
    vocabulary = AnswerVocabulary.build([["b", "a"], ["c"], ["c "], []], max_answers=2)
    assert vocabulary.answers == ("c", "a")
    assert [vocabulary.id(answer) for answer in ("c", " a", "b")] == [0, 1, -1]
    vocabulary.save(tmp_path / "a.json")
    assert AnswerVocabulary.load(tmp_path / "a.json") == vocabulary


@pytest.mark.parametrize(
    ("k", "score"), [(1, 0.3), (2, 0.6), (3, 0.9), (4, 1.0), (9, 1.0), (10, 1.0)]
)
def test_soft_scores_of_ten_answers_are_their_vqa_accuracy(k: int, score: float) -> None:
    """Against the definition: the mean over annotators of min(1, matches among the other nine / 3)."""
    answers = ["yes"] * k + ["no"] * (10 - k)
    others = [k - (answer == "yes") for answer in answers]
    assert (
        soft_scores(answers)["yes"]
        == score
        == pytest.approx(sum(min(1, o / 3) for o in others) / 10)
    )


@pytest.mark.parametrize("answers", [["red"], ["red", "crimson"], ["a", "a", "b"]])
def test_any_other_number_of_answers_is_fully_right(answers: list[str]) -> None:
    assert soft_scores(answers) == dict.fromkeys(answers, 1.0)


def test_pieces_are_as_they_were_written_and_marked_where_unknown() -> None:
    tokenizer = QuestionTokenizer.build(["what colour is it?"])
    assert tokenizer.pieces("What COLOUR,  is <zebra>?") == [
        ("What", True),
        ("COLOUR", True),
        (",", False),
        ("is", True),
        ("<", False),
        ("zebra", False),
        (">?", False),
    ]
    assert tokenizer.pieces("  ") == []


@pytest.mark.parametrize("kind", ["Bert", "GPT2", "T5"])
def test_a_model_without_tokenizer_files_is_refused(kind: str, tmp_path: Path) -> None:
    """Of its configuration alone `transformers` makes a tokenizer that knows no word."""
    import transformers

    getattr(transformers, f"{kind}Config")().save_pretrained(tmp_path)
    with pytest.raises(ModelError, match=r"no tokenizer files here.*tokenizer\.json") as caught:
        QuestionTokenizer.pretrained(str(tmp_path))
    assert str(caught.value).startswith(f"{tmp_path}: ")


def test_a_models_own_tokenizer_is_read(tmp_path: Path) -> None:
    from transformers import BertConfig, BertTokenizerFast

    BertConfig().save_pretrained(tmp_path)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "red"]
    (tmp_path / "vocab.txt").write_text("\n".join(words))
    BertTokenizerFast(vocab=str(tmp_path / "vocab.txt")).save_pretrained(tmp_path)
    tokens = QuestionTokenizer.pretrained(str(tmp_path)).tokens("Red blue")
    assert tokens == ["[CLS]", "red", "[UNK]", "[SEP]"]
