"""Sort-of-CLEVR (Santoro et al. 2017, "A simple neural network module for relational reasoning").

The recipe: 75×75 white pictures with one object of each of six colours, each a square or a circle,
and ten non-relational and ten relational questions about each. The published questions are binary
codes; here they are sentences, one for each kind and colour, or codes of two words: what is asked
and the colour. Sizes and meanings follow the public PyTorch re-implementation
(kimhc6028/relational-networks): radius 5, centres at least 10 pixels apart, questions drawn with
replacement, "left" and "top" mean below half of the side, a count includes the object itself.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vqa.data.record import BadRow, Example, ImageInput, Row
from vqa.data.sources.scenes.draw import png
from vqa.data.sources.scenes.source import check_sizes
from vqa.errors import InputError

SIDE = 75
RADIUS = 5
COLOURS = {
    "red": (255, 0, 0),
    "green": (0, 255, 0),
    "blue": (0, 0, 255),
    "orange": (255, 156, 0),
    "grey": (128, 128, 128),
    "yellow": (255, 255, 0),
}
SHAPES = ("square", "circle")
PUBLISHED: Mapping[str, int] = {"train": 9800, "test": 200}


class Thing(NamedTuple):
    """An object: its shape and the pixel at its centre."""

    shape: str
    x: int
    y: int


Scene = dict[str, Thing]
"""One object a colour."""


@dataclass(frozen=True)
class SortOfClevr:
    """The published recipe, open-ended: answers are square, circle, yes, no and 1 to 6.

    `question_type` is "non-relational" or "relational"; `answer_type` is the kind within it.

    Args:
        images: number of images of each split; published: 9,800 and 200.
        seed: any integer.
        coded: ask by two words, as near to the published codes as a text can be.

    Raises:
        InputError: a number of images below 0.
    """

    images: Mapping[str, int] = field(default_factory=lambda: {"train": 9800, "test": 200})
    seed: int = 0
    coded: bool = False

    def __post_init__(self) -> None:
        check_sizes(self.images, "sort-of-clevr")

    def rows(self) -> Iterator[Row | BadRow]:
        """Yield every question, image by image; the rows of an image share its bytes."""
        for split, count in self.images.items():
            for index in range(count):
                yield from self.image_rows(split, index)

    def image_rows(self, split: str, index: int) -> Iterator[Row]:
        """The twenty questions about one image; it depends on seed, split and index alone."""
        rng = Random(f"sort-of-clevr {self.seed} {split} {index}")
        scene = make_scene(rng)
        image = ImageInput(data=png(draw(scene)))
        name = f"{split}-{index:06d}"
        asked = [*rng.choices(NON_RELATIONAL, k=10), *rng.choices(RELATIONAL, k=10)]
        for number, kind in enumerate(asked):
            colour = rng.choice(tuple(COLOURS))
            example = Example(
                question_id=f"{name}-{number:02d}",
                image_id=name,
                question=f"{kind.code} {colour}" if self.coded else kind.text.format(colour),
                answers=[kind.answer(scene, colour)],
                question_type="non-relational" if kind in NON_RELATIONAL else "relational",
                answer_type=kind.name,
                split=split,
            )
            yield Row(example, image, where=f"sort-of-clevr {example.question_id}")


def make_scene(rng: Random) -> Scene:
    """Six objects, none nearer than two radii to another."""
    scene: Scene = {}
    while len(scene) < len(COLOURS):
        x, y = (rng.randrange(RADIUS, SIDE - RADIUS) for _ in range(2))
        if all(_squared(x, y, other) >= (2 * RADIUS) ** 2 for other in scene.values()):
            scene[tuple(COLOURS)[len(scene)]] = Thing(rng.choice(SHAPES), x, y)
    return scene


def _squared(x: int, y: int, other: Thing) -> int:
    return (x - other.x) ** 2 + (y - other.y) ** 2


def draw(scene: Scene) -> NDArray[np.uint8]:
    """The picture of a scene, [75, 75, 3] RGB, later colours over earlier ones."""
    picture = np.full((SIDE, SIDE, 3), 255, np.uint8)
    rows, columns = np.ogrid[:SIDE, :SIDE]
    for colour, thing in scene.items():
        down, across = np.abs(rows - thing.y), np.abs(columns - thing.x)
        if thing.shape == "square":
            inside = np.maximum(down, across) <= RADIUS
        else:
            inside = down**2 + across**2 <= RADIUS**2
        picture[inside] = COLOURS[colour]
    return picture


def _shape(scene: Scene, colour: str) -> str:
    return scene[colour].shape


def _left(scene: Scene, colour: str) -> str:
    return "yes" if scene[colour].x < SIDE / 2 else "no"


def _top(scene: Scene, colour: str) -> str:
    return "yes" if scene[colour].y < SIDE / 2 else "no"


def _ranked(scene: Scene, colour: str) -> list[Thing]:
    """The other objects, nearest first; at equal distance in the order of the colours."""
    centre = scene[colour]
    others = [thing for name, thing in scene.items() if name != colour]
    return sorted(others, key=lambda thing: _squared(centre.x, centre.y, thing))


def _closest(scene: Scene, colour: str) -> str:
    return _ranked(scene, colour)[0].shape


def _furthest(scene: Scene, colour: str) -> str:
    return _ranked(scene, colour)[-1].shape


def _count(scene: Scene, colour: str) -> str:
    return str(sum(thing.shape == scene[colour].shape for thing in scene.values()))


class Kind(NamedTuple):
    """A kind of question: its sentence with a gap for the colour, its code, and the true answer."""

    name: str
    code: str
    text: str
    answer: Callable[[Scene, str], str]


NON_RELATIONAL = (
    Kind("shape", "shape", "What is the shape of the {} object?", _shape),
    Kind("left or right", "left", "Is the {} object on the left of the picture?", _left),
    Kind("top or bottom", "top", "Is the {} object on the top of the picture?", _top),
)
RELATIONAL = (
    Kind(
        "closest shape",
        "closest",
        "What is the shape of the object closest to the {} object?",
        _closest,
    ),
    Kind(
        "furthest shape",
        "furthest",
        "What is the shape of the object furthest from the {} object?",
        _furthest,
    ),
    Kind("count", "count", "How many objects have the shape of the {} object?", _count),
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `vqa prepare sort-of-clevr`."""
    parser.add_argument(
        "--images", type=int, default=sum(PUBLISHED.values()), metavar="N",
        help="98 %% of them to train on, 2 %% to test on (published and default: 10,000)",
    )  # fmt: skip
    for split in PUBLISHED:
        parser.add_argument(
            f"--{split}", type=int, metavar="N", help=f"images to {split} on, instead"
        )
    parser.add_argument(
        "--questions", choices=("sentences", "codes"), default="sentences",
        help="codes: two words, what is asked and the colour, as published without language",
    )  # fmt: skip


def from_args(args: argparse.Namespace) -> SortOfClevr:
    """The source that the command line describes.

    Raises:
        InputError: less than no image in a split, or no image at all.
    """
    test = args.images // 50
    images = {"train": args.images - test, "test": test}
    given = {split: getattr(args, split) for split in PUBLISHED}
    images |= {split: count for split, count in given.items() if count is not None}
    if not any(images.values()):
        raise InputError("no images", where="--images", fix="ask for 1 or more")
    return SortOfClevr(images, args.seed, coded=args.questions == "codes")
