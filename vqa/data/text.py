"""Words and answers as numbers: the question tokenizer and the answer vocabulary, built from training text alone."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

from vqa.errors import ModelError
from vqa.hub import is_local, why_not

PADDING, UNKNOWN = "[PAD]", "[UNK]"
TEN_ANSWERS = 10
MAX_WORDS = 512
WORD_RULES = 2
"""How texts are cut into words: 2 takes each Chinese character for one, as BERT does, and a typographic apostrophe for
a plain one; 1 did neither. A run goes on with those that it began with, and a kept tokenizer holds its own."""


@dataclass(frozen=True)
class Texts:
    """Tokenised texts, end to end.

    Attributes:
        ids: the tokens of every text; int32 [tokens].
        offsets: text i is `ids[offsets[i]:offsets[i + 1]]`, never empty; int64 [texts + 1].
    """

    ids: np.ndarray
    offsets: np.ndarray

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> np.ndarray:
        """Tokens a text; int64 [texts]."""
        return np.diff(self.offsets)


class QuestionTokenizer:
    """A fast tokenizer of the `tokenizers` library: word level, lower case, punctuation apart."""

    def __init__(self, tokenizer: Tokenizer, longest: int = MAX_WORDS) -> None:
        self._tokenizer = tokenizer
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(longest)

    @classmethod
    def build(
        cls, texts: Iterable[str], min_count: int = 1, rules: int = WORD_RULES
    ) -> QuestionTokenizer:
        """Learn the words that occur at least `min_count` times in `texts`, cut by `rules` (see `WORD_RULES`)."""
        tokenizer = Tokenizer(models.WordLevel(unk_token=UNKNOWN))
        normalised: list[normalizers.Normalizer] = [normalizers.NFKC(), normalizers.Lowercase()]
        tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
        if rules > 1:
            normalised.append(normalizers.Replace(Regex("[\u2018\u2019]"), "'"))
            characters = pre_tokenizers.Split(Regex(r"\p{Han}"), "isolated")
            tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
                [characters, pre_tokenizers.Whitespace()]
            )
        tokenizer.normalizer = normalizers.Sequence(normalised)
        trainer = trainers.WordLevelTrainer(
            min_frequency=min_count,
            special_tokens=[PADDING, UNKNOWN],
            show_progress=False,
            vocab_size=1_000_000,
        )
        tokenizer.train_from_iterator(texts, trainer)
        return cls(tokenizer)

    @classmethod
    def pretrained(cls, name_or_path: str) -> QuestionTokenizer:
        """The fast tokenizer of a `transformers` text encoder, by local path or name.

        Raises:
            ModelError: it is not there, has no fast tokenizer, or one that knows no word.
        """
        from transformers import AutoTokenizer

        try:
            tokenizer = AutoTokenizer.from_pretrained(
                name_or_path, use_fast=True, local_files_only=is_local(name_or_path)
            )
            found = cls(tokenizer.backend_tokenizer, min(MAX_WORDS, tokenizer.model_max_length))
        except (OSError, ValueError, AttributeError) as error:
            raise ModelError(
                f"no fast tokenizer ({why_not(name_or_path, error)})",
                where=name_or_path,
                fix="give the folder of a downloaded transformers model",
            ) from error
        if not _knows_words(found._tokenizer):
            raise ModelError(
                "no tokenizer files here: the tokenizer knows special tokens and no word",
                where=name_or_path,
                fix="put the model's tokenizer.json, or its vocabulary (vocab.txt, …), into the folder",
            )
        return found

    @classmethod
    def load(cls, path: Path) -> QuestionTokenizer:
        """Read a `tokenizer.json`."""
        try:
            return cls.from_text(path.read_text(encoding="utf-8"))
        except Exception as error:  # the library raises a bare Exception for a malformed file
            raise ModelError(f"not a tokenizer file ({error})", where=str(path)) from error

    @classmethod
    def from_text(cls, text: str) -> QuestionTokenizer:
        """The inverse of `to_text`."""
        tokenizer = Tokenizer.from_str(text)
        return cls(tokenizer, (tokenizer.truncation or {}).get("max_length", MAX_WORDS))

    def to_text(self) -> str:
        """As the content of a `tokenizer.json`."""
        text: str = self._tokenizer.to_str(pretty=True)
        return text

    def save(self, path: Path) -> None:
        """Write a `tokenizer.json`."""
        path.write_text(self.to_text(), encoding="utf-8")

    def __len__(self) -> int:
        return self._tokenizer.get_vocab_size()

    @cached_property
    def words(self) -> tuple[str, ...]:
        """Every word, in the order of its id."""
        vocabulary = self._tokenizer.get_vocab()
        return tuple(sorted(vocabulary, key=vocabulary.__getitem__))

    def tokens(self, text: str) -> list[str]:
        """The tokens of one text, as the network sees them."""
        return [self.words[i] for i in self.encode([text]).ids]

    def pieces(self, text: str) -> list[tuple[str, bool]]:
        """The parts of one text as it is written, each with whether the tokenizer knows it."""
        encoding = self._tokenizer.encode(text)
        unknown = self._tokenizer.token_to_id(UNKNOWN)
        parts = zip(encoding.offsets, encoding.ids, encoding.special_tokens_mask, strict=True)
        return [
            (text[start:end], i != unknown) for (start, end), i, special in parts if not special
        ]

    def encode(self, texts: Sequence[str]) -> Texts:
        """Tokenise; a text without any token becomes the unknown word."""
        encodings = self._tokenizer.encode_batch_fast(list(texts))
        unknown = self._tokenizer.token_to_id(UNKNOWN)
        rows = [encoding.ids or [unknown or 0] for encoding in encodings]
        offsets = np.zeros(len(rows) + 1, dtype=np.int64)
        np.cumsum([len(row) for row in rows], out=offsets[1:])
        ids = np.fromiter((i for row in rows for i in row), dtype=np.int32, count=int(offsets[-1]))
        return Texts(ids, offsets)


def _knows_words(tokenizer: Tokenizer) -> bool:
    """Whether there is a token with a letter or digit beside the special ones.

    `transformers` makes an empty tokenizer of a folder that has none.
    """
    added = tokenizer.get_added_tokens_decoder().values()
    special = {token.content for token in added if token.special}
    return any(map(str.isalnum, "".join(tokenizer.get_vocab().keys() - special)))


@dataclass(frozen=True)
class AnswerVocabulary:
    """The answers that a classifier can say, most frequent first.

    `normaliser` names what was done to an answer before it was counted; `strip` takes off outer blanks.
    """

    answers: tuple[str, ...]
    normaliser: str = "strip"

    @classmethod
    def build(cls, answers: Iterable[Sequence[str]], max_answers: int) -> AnswerVocabulary:
        """Take the `max_answers` most frequent answers; ties in alphabetical order."""
        counts = Counter(answer.strip() for group in answers for answer in group)
        ranked = sorted(counts, key=lambda answer: (-counts[answer], answer))
        return cls(tuple(ranked[:max_answers]))

    @classmethod
    def load(cls, path: Path) -> AnswerVocabulary:
        """Read `answers.json`."""
        try:
            return cls.from_text(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelError(f"not an answer vocabulary ({error})", where=str(path)) from error

    @classmethod
    def from_text(cls, text: str) -> AnswerVocabulary:
        """The inverse of `to_text`."""
        fields = json.loads(text)
        return cls(tuple(str(answer) for answer in fields["answers"]), str(fields["normaliser"]))

    def to_text(self) -> str:
        """As the content of an `answers.json`."""
        fields = {"normaliser": self.normaliser, "answers": list(self.answers)}
        return json.dumps(fields, ensure_ascii=False, indent=0)

    def save(self, path: Path) -> None:
        """Write `answers.json`."""
        path.write_text(self.to_text(), encoding="utf-8")

    def __len__(self) -> int:
        return len(self.answers)

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {answer: i for i, answer in enumerate(self.answers)}

    def id(self, answer: str) -> int:
        """Place of `answer` in the vocabulary, −1 outside it."""
        return self._ids.get(answer.strip(), -1)


def soft_scores(answers: Sequence[str]) -> dict[str, float]:
    """The training target of each distinct answer of one question.

    For ten annotators an answer that k of them gave is worth its VQA accuracy,
    k → 0.3, 0.6, 0.9, 1, 1, … (Antol et al. 2015: the mean over annotators of min(1, other matches / 3)).
    For any other number every listed answer is fully right, as `exact/1` scores it.
    """
    counts = Counter(answer.strip() for answer in answers)
    if len(answers) != TEN_ANSWERS:
        return dict.fromkeys(counts, 1.0)
    return {answer: min(1.0, round(0.3 * k, 1)) for answer, k in counts.items()}
