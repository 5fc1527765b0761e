"""The questions of one split as flat arrays: what a batch is gathered from. Small enough to be always in memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from vqa.data.text import AnswerVocabulary, QuestionTokenizer, Texts, soft_scores

if TYPE_CHECKING:
    from vqa.data.store import Store

PLAIN = ("rows", "image", "image_rows", "text", "answer_id", "weight", "label")
PLAIN_CHOICES = ("offsets", "text", "answer_id")


@dataclass(frozen=True)
class ChoiceTable:
    """The choices of a split, flat; the same text is kept once.

    Attributes:
        texts: every distinct choice text, tokenised.
        offsets: the choices of question i are `text[offsets[i]:offsets[i + 1]]`; int64 [questions + 1].
        text: for every choice its place in `texts`; int64 [choices].
        answer_id: for every choice its place in the answer vocabulary, −1 outside it; int64 [choices].
    """

    texts: Texts
    offsets: np.ndarray
    text: np.ndarray
    answer_id: np.ndarray


@dataclass(frozen=True)
class QuestionTable:
    """The questions of a split.

    Attributes:
        rows: their positions in the store's examples; int32 [questions].
        image: their image's position among `image_rows`; int32 [questions].
        image_rows: the images of the split, by position in the store's images, ascending; int64 [images].
        texts: every distinct question, tokenised.
        text: for every question its place in `texts`; int32 [questions].
        answer_id, weight: acceptable answers of each question, padded with −1 and 0; int32 and float32
            [questions, answers].
        label: right choice or −1; int32 [questions].
        choices: None where no question of the split has choices.
    """

    rows: np.ndarray
    image: np.ndarray
    image_rows: np.ndarray
    texts: Texts
    text: np.ndarray
    answer_id: np.ndarray
    weight: np.ndarray
    label: np.ndarray
    choices: ChoiceTable | None

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def nbytes(self) -> int:
        """What it takes in memory."""
        return sum(array.nbytes for array in arrays_of(self).values())


def arrays_of(table: QuestionTable) -> dict[str, np.ndarray]:
    """Every array of a table, by its path."""
    arrays = {name: getattr(table, name) for name in PLAIN}
    arrays |= {"texts.ids": table.texts.ids, "texts.offsets": table.texts.offsets}
    if table.choices is not None:
        choices = table.choices
        arrays |= {f"choices.{name}": getattr(choices, name) for name in PLAIN_CHOICES}
        arrays |= {"choices.texts.ids": choices.texts.ids}
        arrays |= {"choices.texts.offsets": choices.texts.offsets}
    return arrays


def table_of(arrays: Mapping[str, np.ndarray]) -> QuestionTable:
    """The inverse of `arrays_of`.

    Raises:
        KeyError: an array is missing.
    """
    choices = None
    if "choices.offsets" in arrays:
        texts = Texts(arrays["choices.texts.ids"], arrays["choices.texts.offsets"])
        choices = ChoiceTable(texts, **{name: arrays[f"choices.{name}"] for name in PLAIN_CHOICES})
    return QuestionTable(
        texts=Texts(arrays["texts.ids"], arrays["texts.offsets"]),
        choices=choices,
        **{name: arrays[name] for name in PLAIN},
    )


def build_table(
    store: Store, rows: np.ndarray, tokenizer: QuestionTokenizer, vocabulary: AnswerVocabulary
) -> QuestionTable:
    """Tokenise the examples at `rows` of `store`."""
    image_rows, image = np.unique(store.image_rows[rows], return_inverse=True)
    answer_id, weight = _targets(store.column("answers", rows), vocabulary)
    distinct, text = _distinct(store.column("question", rows))
    return QuestionTable(
        rows=rows.astype(np.int32),
        image=image.astype(np.int32),
        image_rows=image_rows.astype(np.int64),
        texts=tokenizer.encode(distinct),
        text=text.astype(np.int32),
        answer_id=answer_id,
        weight=weight,
        label=np.asarray(store.column("label", rows), dtype=np.int32),
        choices=build_choices(store.column("choices", rows), tokenizer, vocabulary),
    )


def build_choices(
    choices: Sequence[Sequence[str]], tokenizer: QuestionTokenizer, vocabulary: AnswerVocabulary
) -> ChoiceTable | None:
    """Tokenise the choices of a list of questions; None where there are none at all."""
    offsets = np.zeros(len(choices) + 1, dtype=np.int64)
    np.cumsum([len(group) for group in choices], out=offsets[1:])
    if not offsets[-1]:
        return None
    distinct, text = _distinct(chain.from_iterable(choices))
    answer_id = np.asarray([vocabulary.id(choice) for choice in distinct], dtype=np.int64)
    return ChoiceTable(tokenizer.encode(distinct), offsets, text, answer_id[text])


def _distinct(texts: Iterable[str]) -> tuple[list[str], np.ndarray]:
    """Every text once, in order of appearance, and for each of `texts` its place there; int64."""
    places: dict[str, int] = {}
    text = [places.setdefault(one, len(places)) for one in texts]
    return list(places), np.asarray(text, dtype=np.int64)


def _targets(
    answers: Sequence[Sequence[str]], vocabulary: AnswerVocabulary
) -> tuple[np.ndarray, np.ndarray]:
    """The sayable answers of every question with their soft scores, padded to the widest question."""
    cache: dict[tuple[str, ...], list[tuple[int, float]]] = {}
    rows = []
    for group in answers:
        key = tuple(group)
        if key not in cache:
            scored = ((vocabulary.id(answer), score) for answer, score in soft_scores(key).items())
            cache[key] = [(i, score) for i, score in scored if i >= 0]
        rows.append(cache[key])
    width = max((len(row) for row in rows), default=0) or 1
    answer_id = np.full((len(rows), width), -1, dtype=np.int32)
    weight = np.zeros((len(rows), width), dtype=np.float32)
    for i, row in enumerate(rows):
        for j, (answer, score) in enumerate(row):
            answer_id[i, j], weight[i, j] = answer, score
    return answer_id, weight
