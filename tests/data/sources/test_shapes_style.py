"""The generator in the style of SHAPES: every answer read again from the pixels, balance, unseen questions."""

from __future__ import annotations

import io
import re
from collections import Counter, defaultdict
from functools import cache
from itertools import product

import numpy as np
import pytest
from PIL import Image

from vqa.cli import main
from vqa.data.record import Example, Row
from vqa.data.sources.shapes_style import ShapesStyle, Thing, draw_questions
from vqa.data.store import Store
from vqa.errors import InputError

RELATION = re.compile(r"(?:that is )?(above|below|left of|right of) ")


@cache
def rows(pairs: int = 2500, seed: int = 0) -> list[Row]:
    return [row for row in ShapesStyle(pairs, seed).rows() if isinstance(row, Row)]


def cells(row: Row) -> dict[tuple[int, int], tuple[str, str]]:
    """Colour and shape of every cell, told from the pixels alone."""
    with Image.open(io.BytesIO(row.image.data or b"")) as picture:
        assert (picture.mode, picture.size) == ("RGB", (30, 30))
        pixels = np.asarray(picture).astype(int)
    found = {}
    for r, c in product(range(3), range(3)):
        cell = pixels[10 * r : 10 * r + 10, 10 * c : 10 * c + 10]
        if cell.max() > 90:
            light = cell.max(-1) / cell.max()
            colour = ("red", "green", "blue")[cell.sum((0, 1)).argmax()]
            found[r, c] = (colour, shape_of(light))
    return found


def shape_of(light: np.ndarray) -> str:
    """By the share that a shape fills of the box of its longest row and column; edges count in part."""
    share = light.sum() / (light.sum(0).max() * light.sum(1).max())
    return "square" if share > 0.9 else "circle" if share > 0.767 else "triangle"


def truth(row: Row) -> bool:
    """The answer, worked out from sentence and pixels by going through all cells."""
    grid = cells(row)
    parts = RELATION.split(row.example.question.removeprefix("is there ").rstrip("?"))
    things = [set(part.split()) - {"a", "shape"} for part in parts[::2]]
    steps = {"above": (1, 0), "below": (-1, 0), "left of": (0, 1), "right of": (0, -1)}
    for start in product(range(3), range(3)):
        at = start
        for thing, relation in zip(things, [*parts[1::2], ""], strict=True):
            if at not in grid or not thing <= set(grid[at]):
                break
            if relation:
                at = (at[0] + steps[relation][0], at[1] + steps[relation][1])
        else:
            return True
    return False


def test_answers_are_what_the_pixels_say() -> None:
    told = [(row.example.answers == ["yes"]) == truth(row) for row in rows()[:600]]
    assert all(told)


def test_every_question_has_as_many_yes_as_no() -> None:
    split = [row.example for row in rows(10_000) if row.example.split == "train"]
    assert Counter(e.answers[0] for e in split) == {"yes": 4000, "no": 4000}
    by_question: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for example in split:
        by_question[example.question][example.answers[0]] += 1
    assert len(by_question) == 200
    assert set(map(tuple, (sorted(c.items()) for c in by_question.values()))) == {
        (("no", 20), ("yes", 20))
    }


def test_half_of_the_test_is_never_asked_in_training() -> None:
    found: defaultdict[str, list[Example]] = defaultdict(list)
    for row in rows(10_000):
        found[row.example.split].append(row.example)
    assert {split: len(part) for split, part in found.items()} == {
        "train": 8000,
        "val": 1000,
        "test": 1000,
    }
    asked = {e.question for e in found["train"]}
    for split in ("val", "test"):
        for example in found[split]:
            seen = example.answer_type == "seen question"
            assert (example.question in asked) == seen
        kinds = Counter(e.answer_type for e in found[split])
        assert kinds == {"seen question": 500, "unseen question": 500}
    held = [{e.question for e in found[s] if e.question not in asked} for s in ("val", "test")]
    assert len(held[0]) == len(held[1]) == 25
    assert not held[0] & held[1]
    words = {word for question in asked for word in question.split()}
    assert {word for part in held for question in part for word in question.split()} <= words


def test_answers_of_every_split_and_part_are_balanced() -> None:
    found: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for row in rows(10_000):
        found[row.example.split, row.example.answer_type][row.example.answers[0]] += 1
    assert len(found) == 5
    assert all(counts["yes"] == counts["no"] for counts in found.values())
    unseen: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for row in rows(10_000):
        if row.example.answer_type == "unseen question":
            unseen[row.example.question][row.example.answers[0]] += 1
    assert all(counts == {"yes": 10, "no": 10} for counts in unseen.values())


def test_pairs_depend_on_the_seed_and_their_place_alone() -> None:
    few, many = rows(100), rows(2500)
    assert [row.example.question for row in few[:80]] == [row.example.question for row in many[:80]]
    assert [row.image.data for row in few[:80]] == [row.image.data for row in many[:80]]
    other = rows(100, seed=1)
    assert [row.image.data for row in few] != [row.image.data for row in other]


def test_questions_of_all_lengths_are_asked() -> None:
    kinds = Counter(row.example.question_type for row in rows())
    assert set(kinds) == {"0 relations", "1 relation", "2 relations"}
    texts = {row.example.question for row in rows()}
    assert any(re.fullmatch(r"is there a \w+ shape left of a \w+\?", text) for text in texts)


def test_a_relation_is_that_of_neighbours() -> None:
    from random import Random

    question = next(
        q for q in draw_questions(Random(0)) if q.text == "is there a circle left of a square?"
    )
    circle, square = Thing("circle", "red", "big"), Thing("square", "blue", "big")
    assert question.holds({(1, 0): circle, (1, 1): square})
    assert not question.holds({(1, 0): circle, (1, 2): square})
    assert not question.holds({(1, 1): circle, (1, 0): square})
    assert not question.holds({(0, 0): circle, (1, 1): square})


def test_the_command(tmp_path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["prepare", "shapes-style", "--pairs", "50", "--to", str(tmp_path / "s")]
    assert main(words) == 0
    assert Store.open(tmp_path / "s").manifest.splits == {"train": 40, "val": 5, "test": 5}
    with pytest.raises(InputError, match="10 or more"):
        ShapesStyle(9)
