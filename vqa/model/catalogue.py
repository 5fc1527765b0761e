"""What bricks there are, from the unions themselves: what each says of itself, and how much it learns."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import ValidationError

from vqa.errors import ModelError
from vqa.model.attention import AnyAttention
from vqa.model.brick import Brick
from vqa.model.fusion import AnyFusion
from vqa.model.head import AnyHead
from vqa.model.image_encoder import AnyImageEncoder
from vqa.model.question_encoder import AnyQuestionEncoder
from vqa.model.settings import Setting, settings

UNIONS: Mapping[str, Any] = {
    "image_encoder": AnyImageEncoder,
    "question_encoder": AnyQuestionEncoder,
    "attention": AnyAttention,
    "fusion": AnyFusion,
    "head": AnyHead,
}
"""The families, by their keys in an experiment."""

IMAGE_DIM, QUESTION_DIM, GRID, IMAGE_SIZE, WORDS, ANSWERS = (
    2048,
    1024,
    (7, 7),
    (224, 224),
    10_000,
    3_000,
)
REFERENCE = (
    f"parameters for image vectors of {IMAGE_DIM}, question vectors of {QUESTION_DIM} (fused and choice"
    f" vectors, too), a grid of {GRID[0]}×{GRID[1]}, {WORDS:,} words, {ANSWERS:,} answers"
)
"""The sizes for which parameters are counted."""

_BUILD: Mapping[str, Callable[[Any], Any]] = {
    "image_encoder": lambda brick: brick.build(IMAGE_SIZE, pretrained=False),
    "question_encoder": lambda brick: brick.build(WORDS, pretrained=False),
    "attention": lambda brick: brick.build(IMAGE_DIM, GRID, QUESTION_DIM),
    "fusion": lambda brick: brick.build(IMAGE_DIM, QUESTION_DIM),
    "head": lambda brick: brick.build(QUESTION_DIM, ANSWERS, QUESTION_DIM),
}


@dataclass(frozen=True)
class Entry:
    """One thing that there is.

    Attributes:
        family: where it belongs, such as `fusion`.
        name: as it is written in an experiment.
        summary: one sentence.
        paper: who published it; None where nobody in particular did.
        formula: what it computes, where that is said in a line.
        settings: what can be set of it; None where that is not a question.
        parameters: how many numbers it learns at `REFERENCE`; None where that cannot be said without more.
        counted: `parameters`, as a formula of its settings.
        explanation: all that its own docstring says.
    """

    family: str
    name: str
    summary: str
    paper: str | None = None
    settings: tuple[Setting, ...] | None = None
    parameters: int | None = None
    formula: str | None = None
    counted: str | None = None
    explanation: str = ""


def members(family: str) -> tuple[type[Brick], ...]:
    """The configurations of a family."""
    found: tuple[type[Brick], ...] = get_args(get_args(UNIONS[family])[0])
    return found


def bricks(family: str) -> Iterator[Entry]:
    """Every brick of a family, in the order of its union."""
    for member in members(family):
        summary, sections = explained(member.__doc__)
        yield Entry(
            family,
            str(member.model_fields["name"].default),
            summary,
            sections.get("Paper"),
            settings(member),
            parameters(family, member),
            sections.get("Formula"),
            sections.get("Parameters"),
            " ".join((member.__doc__ or "").split()),
        )


def explained(doc: str | None) -> tuple[str, dict[str, str]]:
    """A docstring's first sentence, and its sections of one sentence: Paper, Formula, Parameters, Default sizes."""
    text = inspect.cleandoc(doc or "")
    summary = " ".join(text.split("\n\n", 1)[0].split())
    found = re.findall(
        r"^(Paper|Formula|Parameters|Default sizes): (.+(?:\n {2,}.+)*)", text, re.MULTILINE
    )
    return summary, {name: " ".join(said.split()).removesuffix(".") for name, said in found}


def parameters(family: str, member: type[Brick]) -> int | None:
    """How many numbers a brick learns by default, at `REFERENCE`; nothing is allocated.

    None where it needs a setting, or a package that is not installed.
    """
    from vqa.model.blueprint import weightless

    try:
        with weightless():
            module = _BUILD[family](member())
    except (ValidationError, ModelError):
        return None
    return sum(int(parameter.numel()) for parameter in module.parameters())
