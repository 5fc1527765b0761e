"""Sort-of-CLEVR: the recipe's numbers, and every answer read again from the pixels."""

from __future__ import annotations

import io
import itertools
from collections import Counter, defaultdict
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from vqa.data.record import Example, ImageInput, Row
from vqa.data.sources.scenes import SortOfClevr
from vqa.data.sources.scenes.sort_of_clevr import COLOURS, SIDE
from vqa.errors import InputError

SQUARE, CIRCLE = 121, 81
"""Pixels of a square of half side 5 and of a circle of radius 5."""


def rows_of(count: int, seed: int = 0) -> list[Row]:
    rows = SortOfClevr({"train": count}, seed).rows()
    return [row for row in rows if isinstance(row, Row)]


def pixels(image: ImageInput) -> np.ndarray:
    with Image.open(io.BytesIO(image.data or b"")) as picture:
        assert (picture.format, picture.mode, picture.size) == ("PNG", "RGB", (SIDE, SIDE))
        return np.asarray(picture)


def objects(picture: np.ndarray) -> dict[str, tuple[str, float, float]] | None:
    """Shape and centre of every colour, None where one object covers a part of another."""
    found = {}
    for colour, rgb in COLOURS.items():
        y, x = np.nonzero((picture == rgb).all(-1))
        if len(x) not in (SQUARE, CIRCLE):
            return None
        found[colour] = ("square" if len(x) == SQUARE else "circle", x.mean(), y.mean())
    return found


def answer(example: Example, seen: dict[str, tuple[str, float, float]]) -> set[str]:
    """What the picture says; two answers where two objects are equally far."""
    colour = next(c for c in COLOURS if f" {c} " in example.question)
    shape, x, y = seen[colour]
    if example.answer_type == "count":
        return {str(sum(other[0] == shape for other in seen.values()))}
    if example.answer_type == "left or right":
        return {"yes" if x < 37.5 else "no"}
    if example.answer_type == "top or bottom":
        return {"yes" if y < 37.5 else "no"}
    if example.answer_type == "shape":
        return {shape}
    far = {o[0:3]: round((o[1] - x) ** 2 + (o[2] - y) ** 2) for c, o in seen.items() if c != colour}
    wanted = (min if example.answer_type == "closest shape" else max)(far.values())
    return {other[0] for other, distance in far.items() if distance == wanted}


def test_answers_are_what_the_pixels_show() -> None:
    checked: Counter[str] = Counter()
    for _, group in itertools.groupby(rows_of(150), key=lambda row: row.example.image_id):
        rows = list(group)
        seen = objects(pixels(rows[0].image))
        for row in rows if seen else ():
            assert row.example.answers[0] in answer(row.example, seen or {})
            checked[row.example.answer_type] += 1
    assert len(checked) == 6
    assert min(checked.values()) > 200


def test_codes_ask_the_same_in_two_words() -> None:
    coded = [r for r in SortOfClevr({"train": 20}, coded=True).rows() if isinstance(r, Row)]
    pairs = defaultdict(set)
    for row, sentence in zip(coded, rows_of(20), strict=True):
        assert replace(row.example, question=sentence.example.question) == sentence.example
        assert len(row.example.question.split()) == 2
        pairs[row.example.question].add(sentence.example.question)
    assert len(pairs) == 36
    assert all(len(sentences) == 1 for sentences in pairs.values())


def test_ten_questions_of_each_type_about_every_image() -> None:
    rows = rows_of(30)
    per_image = Counter((row.example.image_id, row.example.question_type) for row in rows)
    assert set(per_image.values()) == {10}
    assert len(per_image) == 60
    assert len({row.example.question_id for row in rows}) == 600
    assert all(not row.example.choices and row.example.label == -1 for row in rows)


def test_one_sentence_for_each_kind_and_colour() -> None:
    kinds = defaultdict(set)
    for row in rows_of(100):
        kinds[row.example.answer_type].add(row.example.question)
    assert {kind: len(texts) for kind, texts in kinds.items()} == dict.fromkeys(kinds, 6)
    assert len(kinds) == 6


def test_answers_are_the_ten_published_ones() -> None:
    answers = Counter(row.example.answers[0] for row in rows_of(300))
    assert set(answers) == {"yes", "no", "square", "circle", *"123456"}


def test_default_sizes_are_the_published_ones() -> None:
    assert SortOfClevr().images == {"train": 9800, "test": 200}


def test_an_image_depends_on_seed_split_and_index_alone() -> None:
    assert rows_of(2, seed=4) == rows_of(5, seed=4)[:40]
    assert rows_of(1, seed=4)[0].image != rows_of(1, seed=5)[0].image
    splits = SortOfClevr({"train": 1, "test": 1}).rows()
    assert len({row.image.data for row in splits if isinstance(row, Row)}) == 2


def test_a_negative_number_of_images_is_refused() -> None:
    with pytest.raises(InputError, match="-3 images in split 'test'"):
        SortOfClevr({"test": -3})
