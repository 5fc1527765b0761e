"""The `scenes` source: pictures, questions and choices from a seed."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from random import Random

from vqa.data.record import BadRow, Example, ImageInput, Row
from vqa.data.sources.scenes.draw import png, render
from vqa.data.sources.scenes.levels import DEFAULT_LEVEL, KINDS, LEVELS, Level, level_named
from vqa.data.sources.scenes.plan import make_plan
from vqa.data.sources.scenes.questions import ASK, Question
from vqa.data.sources.scenes.world import Scene, lay_out
from vqa.errors import InputError


def split_by_image(images: int) -> dict[str, int]:
    """80 % of the images to train on, 10 % to validate, 10 % to test.

    >>> split_by_image(10_000)
    {'train': 8000, 'val': 1000, 'test': 1000}
    """
    tenth = images // 10
    return {"train": images - 2 * tenth, "val": tenth, "test": tenth}


def check_sizes(images: Mapping[str, int], where: str) -> None:
    """Refuse a split without a name or with fewer than no images.

    Raises:
        InputError: names the split.
    """
    for split, count in images.items():
        if not split or count < 0:
            raise InputError(
                f"{count} images in split {split!r}", where=where, fix="give a name and 0 or more"
            )


@dataclass(frozen=True)
class Scenes:
    """Generated scenes with seven kinds of question, four choices each.

    Image k of a split depends on the level, the seed, the split's name, the number of questions and
    k alone. A question-only or choices-only model is right one time in four, for the reasons given
    in `questions` and `plan`.

    Args:
        images: number of images of each split.
        level: a name of `LEVELS`.
        seed: any integer.
        questions_per_image: how many questions about each image; fewer only where a scene has run
            out of different ones.

    Raises:
        InputError: no such level, or a number below its range.
    """

    images: Mapping[str, int]
    level: str = DEFAULT_LEVEL
    seed: int = 0
    questions_per_image: int = 6

    def __post_init__(self) -> None:
        level_named(self.level)
        check_sizes(self.images, "scenes")
        if self.questions_per_image < 1:
            raise InputError(
                f"{self.questions_per_image} questions per image",
                where="scenes",
                fix="ask 1 or more",
            )

    def rows(self) -> Iterator[Row | BadRow]:
        """Yield every question, image by image; the rows of an image share its bytes."""
        for split, count in self.images.items():
            for index in range(count):
                yield from self.image_rows(split, index)

    def image_rows(self, split: str, index: int) -> Iterator[Row]:
        """The questions about one image."""
        level = level_named(self.level)
        rng = Random(f"scenes {self.level} {self.seed} {split} {index}")
        scene, questions = make_scene(level, self.questions_per_image, rng)
        image = ImageInput(data=png(render(scene, level, rng)))
        name = f"{split}-{index:06d}"
        for number, question in enumerate(questions):
            example = example_of(question, name, number, split)
            yield Row(example, image, where=f"scenes {example.question_id}")


def example_of(question: Question, image_id: str, number: int, split: str) -> Example:
    """The canonical example of a question about an image."""
    return Example(
        question_id=f"{image_id}-{number}",
        image_id=image_id,
        question=question.text,
        answers=[question.right],
        choices=list(question.choices),
        label=question.choices.index(question.right),
        question_type=question.kind,
        split=split,
    )


def make_scene(level: Level, count: int, rng: Random) -> tuple[Scene, list[Question]]:
    """Draw a scene and up to `count` different questions about it, of as many kinds as possible."""
    kinds = [kind for _ in range(count // len(KINDS) + 1) for kind in rng.sample(KINDS, len(KINDS))]
    kinds = kinds[:count]
    plan = make_plan(kinds, level, rng)
    scene = lay_out(rng.sample(plan.looks, len(plan.looks)), level, rng)
    asked = {question.form: question for question in plan.questions}
    for planned in plan.questions:
        kinds.remove(planned.kind)
    more = (rng.choice(tuple(ASK)) for _ in range(20 * count))
    for kind in chain(kinds, more):
        if len(asked) == count:
            break
        question = _try(kind, scene, level, rng)
        if question is not None:
            asked.setdefault(question.form, question)
    return scene, rng.sample(list(asked.values()), len(asked))


def _try(kind: str, scene: Scene, level: Level, rng: Random) -> Question | None:
    """Several draws of a question, for not every object and relation fits every scene."""
    if kind not in ASK:
        return None
    for _ in range(6):
        question = ASK[kind](scene, level, rng)
        if question is not None:
            return question
    return None


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `vqa prepare scenes`."""
    parser.add_argument(
        "--images", type=int, default=10_000, metavar="N",
        help="80 %% of them to train on, 10 %% each to validate and to test (default 10,000)",
    )  # fmt: skip
    parser.add_argument(
        "--level", default=DEFAULT_LEVEL, metavar="LEVEL",
        help=f"{', '.join(LEVELS)} (default {DEFAULT_LEVEL})",
    )  # fmt: skip
    parser.add_argument("--questions-per-image", type=int, default=6, metavar="N", help="default 6")


def from_args(args: argparse.Namespace) -> Scenes:
    """The source that the command line describes.

    Raises:
        InputError: no such level, or a number below its range.
    """
    if args.images < 1:
        raise InputError(f"{args.images} images", where="--images", fix="ask for 1 or more")
    images = split_by_image(args.images)
    return Scenes(images, args.level, args.seed, args.questions_per_image)
