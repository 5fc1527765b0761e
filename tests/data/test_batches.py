"""Questions and pictures become batches; pictures are changed on the way."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.utils.rnn import pad_packed_sequence

from vqa.config import Augmentation
from vqa.data.ahead import ahead
from vqa.data.augment import augment
from vqa.data.bank import on_device
from vqa.data.batches import Batcher, gather_choices, pack, send, send_together
from vqa.data.store import Store
from vqa.data.table import build_choices, build_table
from vqa.data.text import AnswerVocabulary, QuestionTokenizer, Texts

CPU = torch.device("cpu")


@given(
    st.lists(st.lists(st.integers(0, 99), min_size=1, max_size=6), min_size=1, max_size=8),
    st.data(),
)
def test_packing_keeps_every_word_of_every_text(rows: list[list[int]], data) -> None:
    offsets = np.cumsum([0, *map(len, rows)])
    texts = Texts(np.asarray([i for row in rows for i in row], dtype=np.int32), offsets)
    index = np.asarray(data.draw(st.permutations(range(len(rows)))))
    padded, lengths = pad_packed_sequence(pack(texts, index, CPU), batch_first=True)
    unpacked = [row[:length].tolist() for row, length in zip(padded, lengths, strict=True)]
    assert unpacked == [rows[i] for i in index]


def test_choices_of_any_number_are_flat_and_each_text_stands_once() -> None:
    tokenizer = QuestionTokenizer.build(["red blue", "green"])
    vocabulary = AnswerVocabulary(("blue",))
    groups = [["red", "blue"], ["blue", "green", "red"], [], ["green", "red"]]
    table = build_choices(groups, tokenizer, vocabulary)
    assert table is not None
    index = np.asarray([3, 2, 1])
    packed = gather_choices(table, index, CPU)
    assert packed is not None
    words, _ = pad_packed_sequence(packed.words, batch_first=True)
    shown = [tokenizer.words[words[int(i), 0]] for i in packed.text]
    assert shown == [text for i in index for text in groups[i]]
    assert packed.question.tolist() == [0, 0, 2, 2, 2]
    assert packed.answer_id.tolist() == [-1, -1, 0, -1, -1]
    assert len(words) == 3
    assert gather_choices(table, np.asarray([2]), CPU) is None
    assert build_choices([[], []], tokenizer, vocabulary) is None


def test_a_table_says_what_the_store_says(scenes_store: Path) -> None:
    store = Store.open(scenes_store)
    rows = store.rows("val")
    tokenizer = QuestionTokenizer.build(store.column("question", rows))
    vocabulary = AnswerVocabulary.build(store.column("answers", rows), 1000)
    table = build_table(store, rows, tokenizer, vocabulary)
    assert len(table) == len(rows) == 40
    for i, row in enumerate(rows):
        example = store.example(row)
        start, end = table.texts.offsets[table.text[i] :][:2]
        assert [tokenizer.words[j] for j in table.texts.ids[start:end]] == tokenizer.tokens(
            example.question
        )
        said = [vocabulary.answers[j] for j in table.answer_id[i] if j >= 0]
        assert said == example.answers
        assert table.weight[i].tolist()[: len(said)] == [1.0] * len(said)
        assert store.images[int(table.image_rows[table.image[i]])]["image_id"] == example.image_id
        assert table.label[i] == example.label


@given(
    st.lists(
        st.tuples(
            st.sampled_from([np.int64, np.int32, np.float32, np.bool_]),
            st.sampled_from([(0,), (1,), (7,), (3, 5), (0, 4)]),
        ),
        max_size=6,
    )
)
def test_arrays_that_travel_together_arrive_as_they_were(kinds: list[Any]) -> None:
    random = np.random.default_rng(0)
    arrays = [random.integers(0, 99, shape).astype(dtype) for dtype, shape in kinds]
    alone, together = send(arrays, CPU), send_together(arrays, CPU)
    assert len(together) == len(arrays)
    for one, other in zip(alone, together, strict=True):
        assert one.dtype == other.dtype
        assert one.shape == other.shape
        assert torch.equal(one, other)
    transposed = np.arange(6).reshape(2, 3).T
    assert torch.equal(send_together([transposed], CPU)[0], torch.from_numpy(transposed))


def test_a_batch_on_another_device_is_the_same_but_for_the_device(scenes_store: Path) -> None:
    store = Store.open(scenes_store)
    rows = store.rows("val")
    tokenizer = QuestionTokenizer.build(store.column("question", rows))
    vocabulary = AnswerVocabulary.build(store.column("answers", rows), 1000)
    table, index = build_table(store, rows, tokenizer, vocabulary), np.arange(8)
    here, there = (
        Batcher(table, torch.device(kind)).gather(index, torch.zeros(8), index)
        for kind in ("cpu", "meta")
    )
    assert here.choices is not None
    assert there.choices is not None
    pairs = [
        *zip(here.targets, there.targets, strict=True),
        *zip(here.choices[1:], there.choices[1:], strict=True),
        (here.image_of_question, there.image_of_question),
        (here.text_of_question, there.text_of_question),
    ]
    for words in ((here.words, there.words), (here.choices.words, there.choices.words)):
        one, other = words
        assert torch.equal(one.batch_sizes, other.batch_sizes)  # wanted on the CPU by torch
        pairs += [(one.data, other.data), (one.sorted_indices, other.sorted_indices)]
    for one, other in pairs:
        assert other.device.type == "meta"
        assert (one.shape, one.dtype) == (other.shape, other.dtype)


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_work_ahead_comes_in_order_and_its_errors_come_through(threads: int) -> None:
    assert list(ahead((lambda i=i: i for i in range(20)), threads)) == list(range(20))

    def fail() -> int:
        raise ValueError("here")

    with pytest.raises(ValueError, match="here"):
        list(ahead([lambda: 1, fail, lambda: 2], threads))


def test_each_thread_that_works_ahead_begins_as_it_is_told() -> None:
    begun: list[int] = []
    names = ahead([threading.get_ident] * 20, 3, lambda: begun.append(threading.get_ident()))
    assert set(names) <= set(begun)
    assert threading.get_ident() not in begun
    assert on_device(torch.device("cpu")) is None
    assert on_device(torch.device("cuda", 1)) is not None


PICTURES = torch.arange(2 * 3 * 4 * 4, dtype=torch.uint8).view(2, 3, 4, 4)


def test_no_augmentation_changes_nothing() -> None:
    assert augment(PICTURES, Augmentation(), (0,)) is PICTURES


@pytest.mark.parametrize(
    ("config", "count"),
    [
        (Augmentation(horizontal_flip=True), 2),
        (Augmentation(vertical_flip=True), 2),
        (Augmentation(horizontal_flip=True, vertical_flip=True), 4),
        (Augmentation(quarter_turns=True), 4),
        (Augmentation(quarter_turns=True, horizontal_flip=True), 8),
        (Augmentation(quarter_turns=True, vertical_flip=True), 8),
        (Augmentation(quarter_turns=True, horizontal_flip=True, vertical_flip=True), 8),
        (Augmentation(shift=1), 9),
    ],
)
def test_augmentation_reaches_exactly_its_group(config: Augmentation, count: int) -> None:
    """Every symmetry of the square that the settings admit is met, and no other."""
    met = {augment(PICTURES[:1], config, (seed,)).numpy().tobytes() for seed in range(200)}
    assert len(met) == count
    picture = PICTURES[0]
    turns = {torch.rot90(picture, k, (1, 2)).contiguous().numpy().tobytes() for k in range(4)}
    if config == Augmentation(quarter_turns=True):
        assert met == turns
    assert picture.contiguous().numpy().tobytes() in met


def test_a_zoom_keeps_the_middle_and_the_order_of_distances() -> None:
    """A line at distance d from the middle comes to scale * d from it, the same in both directions."""
    side = 41
    pictures = torch.zeros(300, 3, side, side, dtype=torch.uint8)
    pictures[:, 0, 20, 20], pictures[:, 1, 20, 28], pictures[:, 2, 14, 20] = 1, 1, 1
    zoomed = augment(pictures, Augmentation(zoom=0.25), (3,))
    assert zoomed[:, 0, 20, 20].all()
    right = [picture[1].nonzero()[:, 1].float() - 20 for picture in zoomed]
    above = [20 - picture[2].nonzero()[:, 0].float() for picture in zoomed]
    scales = torch.tensor([float(d.mean()) / 8 for d in right if len(d)])
    assert 1 / 1.25 - 0.07 < scales.min() < 0.9
    assert 1.17 < scales.max() < 1.25 + 0.07
    both = [(r.mean(), a.mean()) for r, a in zip(right, above, strict=True) if len(r) and len(a)]
    assert len(both) > 200
    assert all(abs(r / 8 - a / 6) < 0.2 for r, a in both)


def test_a_picture_without_a_zoom_is_shifted_as_before() -> None:
    """Line k of the result is line k + shift of the source, the edge repeated; flipped, from the other end."""
    lines = torch.arange(6, dtype=torch.uint8).expand(400, 3, 6, 6)
    met = {tuple(p[0, 0].tolist()) for p in augment(lines, Augmentation(shift=1), (0,))}
    assert met == {(0, 1, 2, 3, 4, 5), (0, 0, 1, 2, 3, 4), (1, 2, 3, 4, 5, 5)}


def test_the_same_seed_gives_the_same_pictures_and_each_its_own_draw() -> None:
    config = Augmentation(horizontal_flip=True, shift=2)
    many = PICTURES[:1].expand(50, -1, -1, -1)
    one, two = augment(many, config, (1, 2)), augment(many, config, (1, 2))
    assert torch.equal(one, two)
    assert len({picture.contiguous().numpy().tobytes() for picture in one}) > 5
