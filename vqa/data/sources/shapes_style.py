"""Generated pictures and compositional yes/no questions in the style of SHAPES.

A picture is that of SHAPES (Andreas et al. 2016, arXiv 1511.02799; jacobandreas/nmn2,
data/gen_shapes.py): 30×30 pixels, black, a grid of 3×3 cells of which four in five hold a circle, a
square or a triangle, small or big, red, green or blue, sizes and colours a little off. A relation
means the neighbouring cell. Questions are sentences of ours:

    0 relations   is there a red circle?                                          9
    1 relation    is there a red shape left of a circle?                        144
    2 relations   is there a square above a blue shape that is right of a circle?  drawn

A question is asked about as many pictures with the answer yes as with no, so a question-only model
is at chance; whether the things exist says little, for most pictures hold every one of them.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from random import Random
from typing import ClassVar, NamedTuple

from PIL import Image, ImageDraw

from vqa.data.image import png
from vqa.data.record import BadRow, Example, ImageInput, Row
from vqa.errors import InputError

SIDE, CELLS, SCALE = 30, 3, 4
FILLED = 0.8
COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}
SHAPES = ("circle", "square", "triangle")
SIZES = {"small": 0.5, "big": 0.75}
STEPS = {"above": (-1, 0), "below": (1, 0), "left of": (0, -1), "right of": (0, 1)}
OPPOSITE = {"above": "below", "below": "above", "left of": "right of", "right of": "left of"}
QUESTIONS, HELD_OUT = 250, 50
SHARES = {"train": 0.8, "val": 0.1, "test": 0.1}
TRIES = 5_000

Cell = tuple[int, int]


class Thing(NamedTuple):
    """What is in a cell."""

    shape: str
    colour: str
    size: str


Grid = dict[Cell, Thing]
"""The cells, by row and column, that hold something."""


class Question(NamedTuple):
    """Things with relations between them: `things[0]` is `relations[0]` of `things[1]`, and so on.

    A thing is a set of words, each a colour or a shape.
    """

    things: tuple[tuple[str, ...], ...]
    relations: tuple[str, ...]

    @property
    def text(self) -> str:
        """The sentence."""
        words = [_article(self.things[0])]
        for at, (relation, thing) in enumerate(zip(self.relations, self.things[1:], strict=True)):
            words.append(f"{'that is ' if at else ''}{relation} {_article(thing)}")
        return f"is there {' '.join(words)}?"

    @property
    def kind(self) -> str:
        """How many relations it has."""
        count = len(self.relations)
        return f"{count} relation{'' if count == 1 else 's'}"

    def holds(self, grid: Grid) -> bool:
        """Whether the true answer about a picture is yes."""
        cells = _cells(grid, self.things[-1])
        for relation, thing in zip(self.relations[::-1], self.things[-2::-1], strict=True):
            down, right = STEPS[relation]
            cells = {(r + down, c + right) for r, c in cells} & _cells(grid, thing)
        return bool(cells)


@dataclass(frozen=True)
class ShapesStyle:
    """Pairs of a picture and a question; each picture has one question.

    Four in five pairs are for training, one in ten each to validate and to test. Of 250 questions
    fifty are held out: half of the pairs of `val` and of `test` ask those, 25 each, which training
    never asks, the other half asks what training asks, about other pictures. `question_type` is the
    number of relations, `answer_type` "seen question" or "unseen question". Pair k of a split
    depends on seed, split and k alone.

    Args:
        pairs: how many in all.
        seed: any integer.

    Raises:
        InputError: fewer than 10 pairs.
    """

    name: ClassVar[str] = "shapes-style"
    pairs: int = 10_000
    seed: int = 0

    def __post_init__(self) -> None:
        if self.pairs < 10:
            raise InputError(f"{self.pairs} pairs", where="shapes-style", fix="ask for 10 or more")

    def rows(self) -> Iterator[Row | BadRow]:
        """Yield every pair, split by split."""
        for split, share in SHARES.items():
            for index in range(round(share * self.pairs)):
                yield self._row(split, index)

    def _row(self, split: str, index: int) -> Row:
        question, wanted, seen = self._asked(split, index)
        rng = Random(f"shapes-style {self.seed} {split} {index}")
        grid = _grid_with(question, wanted, rng)
        name = f"{split}-{index:06d}"
        example = Example(
            question_id=name,
            image_id=name,
            question=question.text,
            answers=["yes" if wanted else "no"],
            question_type=question.kind,
            answer_type="seen question" if seen else "unseen question",
            split=split,
        )
        return Row(example, ImageInput(data=png(draw(grid, rng))), f"shapes-style {name}")

    def _asked(self, split: str, index: int) -> tuple[Question, bool, bool]:
        """The question of a pair, its answer, and whether training asks it."""
        seen = split == "train" or index % 2 == 0
        held = self._held_out
        asked = self._trained if seen else held[::2] if split == "val" else held[1::2]
        turn = index if split == "train" else index // 2
        times, place = divmod(turn, len(asked))
        return asked[place], (times + place) % 2 == 0, seen

    @cached_property
    def _drawn(self) -> list[Question]:
        return draw_questions(Random(f"shapes-style {self.seed}"))

    @property
    def _trained(self) -> list[Question]:
        return self._drawn[HELD_OUT:]

    @property
    def _held_out(self) -> list[Question]:
        return self._drawn[:HELD_OUT]


def draw_questions(rng: Random) -> list[Question]:
    """All questions with at most one relation, and as many drawn ones with two as make 250; shuffled."""
    plain: list[tuple[str, ...]] = [(word,) for word in (*COLOURS, *SHAPES)]
    none = [Question(((colour, shape),), ()) for colour, shape in product(COLOURS, SHAPES)]
    one = [Question((a, b), (r,)) for a, r, b in product(plain, STEPS, plain)]
    two = [
        Question((a, b, c), (r, s))
        for a, r, b, s, c in product(plain, STEPS, plain, STEPS, plain)
        if s != OPPOSITE[r]
    ]
    found = none + one + rng.sample(two, QUESTIONS - len(none) - len(one))
    return rng.sample(found, len(found))


def _article(thing: tuple[str, ...]) -> str:
    return f"a {' '.join(thing)}{'' if thing[-1] in SHAPES else ' shape'}"


def _cells(grid: Grid, thing: tuple[str, ...]) -> set[Cell]:
    return {cell for cell, it in grid.items() if set(thing) <= {it.colour, it.shape}}


def _grid_with(question: Question, wanted: bool, rng: Random) -> Grid:
    """The first of many drawn grids about which the answer is the wanted one."""
    for _ in range(TRIES):
        grid = _grid(rng)
        if question.holds(grid) == wanted:
            return grid
    raise AssertionError(f"no picture with the answer {wanted} to {question.text!r}")


def _grid(rng: Random) -> Grid:
    return {
        cell: Thing(rng.choice(SHAPES), rng.choice(tuple(COLOURS)), rng.choice(tuple(SIZES)))
        for cell in product(range(CELLS), range(CELLS))
        if rng.random() < FILLED
    }


def draw(grid: Grid, rng: Random) -> Image.Image:
    """The picture, RGB, drawn four times as large and scaled down."""
    picture = Image.new("RGB", (SIDE * SCALE, SIDE * SCALE))
    pen, cell_side = ImageDraw.Draw(picture), SIDE * SCALE / CELLS
    for (row, column), thing in grid.items():
        x, y = (column + 0.5) * cell_side, (row + 0.5) * cell_side
        radius = cell_side * SIZES[thing.size] / 2 * rng.uniform(0.9, 1.1)
        shades = (round(part + rng.uniform(-51, 51)) for part in COLOURS[thing.colour])
        colour = tuple(min(max(shade, 0), 255) for shade in shades)
        box = (x - radius, y - radius, x + radius, y + radius)
        if thing.shape == "circle":
            pen.ellipse(box, fill=colour)
        elif thing.shape == "square":
            pen.rectangle(box, fill=colour)
        else:
            pen.polygon([(box[0], box[3]), (x, box[1]), (box[2], box[3])], fill=colour)
    return picture.resize((SIDE, SIDE), Image.Resampling.BOX)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `vqa prepare shapes-style`."""
    parser.add_argument(
        "--pairs", type=int, default=10_000, metavar="N",
        help="80 %% of them to train on, 10 %% each to validate and to test (default 10,000)",
    )  # fmt: skip


def from_args(args: argparse.Namespace) -> ShapesStyle:
    """The source that the command line describes.

    Raises:
        InputError: fewer than 10 pairs.
    """
    return ShapesStyle(args.pairs, args.seed)
