"""A question to a finished run's model and what it said, as they cross the HTTP interface."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from vqa.jobs.views import Name, View
from vqa.names import NAME_PATTERN

MOST_CHOICES = 100
BASE64_LENGTH = 24 << 20
"""A body holds no more."""
Job = Annotated[str, Field(min_length=1, max_length=64, pattern=NAME_PATTERN)]
Choice = Annotated[str, Field(min_length=1, max_length=1000)]


class Question(View):
    """A question about a picture that comes along, or that stands in a store.

    Attributes:
        job: a run with an exported model.
        image: an encoded PNG, JPEG, WebP, GIF, BMP or TIFF file, in base64.
        store, image_id: a picture of one of the service's stores.
        choices: the candidates, where one of several is to be picked.
        pictures: whether to send the picture as the model saw it, and its attention over it.
    """

    job: Job
    question: str = Field(min_length=1, max_length=4000, examples=["what colour is the circle?"])
    image: str | None = Field(default=None, max_length=BASE64_LENGTH)
    store: Name | None = None
    image_id: str | None = Field(default=None, max_length=16_000)
    choices: list[Choice] = Field(default=[], max_length=MOST_CHOICES)
    pictures: bool = True

    @model_validator(mode="after")
    def _one_picture(self) -> Question:
        stored = self.store is not None and self.image_id is not None
        if (self.image is None) != stored or (self.store is None) != (self.image_id is None):
            raise ValueError("give image, or store and image_id")
        return self


class Guess(View):
    """An answer with its probability, 0 to 1."""

    answer: str
    probability: float


class Word(View):
    """A word of the question, and whether the model learnt it."""

    text: str
    known: bool


class GlimpseView(View):
    """Where one glimpse looked.

    Attributes:
        weights: rows of the grid; they sum to 1 where the attention is soft. Of a model that reads regions the weight
            that lies on each place of the picture.
        overlay: the same as colour over the picture, as a `data:` address of a PNG; None where none was wanted.
    """

    weights: list[list[float]]
    overlay: str | None


class Reply(View):
    """What the model said.

    Attributes:
        answer: None where it can say none of the choices.
        confidence: the answer's probability.
        top: the likeliest answers, or every choice that it can say, best first.
        unsayable: the choices that it cannot say.
        known: the first answers that it learnt, where it could say none of the choices.
        words: the question as the model read it.
        attention: one object a glimpse; empty without attention.
        seen: the picture as the model saw it, as a `data:` address of a PNG; None where none was wanted.
    """

    job: str
    name: str
    answer: str | None
    confidence: float | None
    top: list[Guess]
    unsayable: list[str]
    known: list[str]
    words: list[Word]
    attention: list[GlimpseView]
    seen: str | None
