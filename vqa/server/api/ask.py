"""A question about a picture, put to the model of a finished run."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Request
from pydantic import Field, model_validator

from vqa.errors import DataError, EngineError, JobError, ModelError
from vqa.jobs.record import NAME_PATTERN
from vqa.jobs.views import Name, View
from vqa.server.api.asking import Caller, Reader
from vqa.server.api.stores import OpenHoldings
from vqa.server.holdings import Holdings
from vqa.server.opened import Opened

if TYPE_CHECKING:
    from PIL.Image import Image

    from vqa.evaluation.answered import Answered
    from vqa.export import VQAModel

MOST_CHOICES = 100
BASE64_LENGTH = 24 << 20
"""A body holds no more."""
PATIENCE_SECONDS = 60.0
KNOWN_SHOWN = 8
Job = Annotated[str, Field(min_length=1, max_length=64, pattern=NAME_PATTERN)]
Choice = Annotated[str, Field(min_length=1, max_length=1000)]

router = APIRouter(tags=["ask"])


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
    image_id: str | None = Field(default=None, max_length=4000)
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
        weights: rows of the grid; they sum to 1 where the attention is soft.
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


@router.post("/ask")
def ask(request: Request, question: Question, caller: Reader, held: OpenHoldings) -> Reply:
    """Put a question to a model. One is answered at a time."""
    from vqa.evaluation.answered import answer_question

    name = caller.service.queue.get(question.job).submission.name
    data = _picture(question, held)
    with _turn(request.app.state.opened):
        model = exported_model(question.job, caller, request.app.state.opened)
        try:
            made = answer_question(model, data, question.question, question.choices)
        except (DataError, ModelError) as error:
            where = "image" if isinstance(error, DataError) else error.where
            raise JobError(error.what, where=where, fix=error.fix) from None
    return _reply(question, name, model, made)


def exported_model(job: str, caller: Caller, opened: Opened) -> VQAModel:
    """A run's model.

    Raises:
        JobError: there is no such job, or its run has exported none.
    """
    found = caller.service.queue.get(job)
    try:
        return opened.model(caller.service.home.run_dir(job))
    except ModelError as error:
        what = caller.service.checker.library.without_paths(error.what)
        if not found.terminal:
            what = f"is {found.state}: its model is exported when it has succeeded"
        fix = "choose a run that has succeeded"
        raise JobError(what, where=job, fix=fix, kind="conflict") from None


def _picture(question: Question, held: Holdings) -> bytes:
    if question.store is not None and question.image_id is not None:
        return held.picture(question.store, question.image_id)
    try:
        return base64.b64decode(question.image or "", validate=True)
    except (binascii.Error, ValueError):
        raise JobError("is no base64", where="image", fix="encode the file's bytes") from None


@contextmanager
def _turn(opened: Opened) -> Iterator[None]:
    """Wait until no other question is being answered.

    Raises:
        EngineError: that takes too long.
    """
    if not opened.asking.acquire(timeout=PATIENCE_SECONDS):
        raise EngineError("other questions are being answered", fix="ask again", temporary=True)
    try:
        yield
    finally:
        opened.asking.release()


def _reply(question: Question, name: str, model: VQAModel, made: Answered) -> Reply:
    answer = made.answer
    return Reply(
        job=question.job,
        name=name,
        answer=answer.answer,
        confidence=answer.confidence,
        top=[Guess(answer=text, probability=round(share, 6)) for text, share in answer.top],
        unsayable=made.unsayable,
        known=list(model.vocabulary.answers[:KNOWN_SHOWN]) if answer.answer is None else [],
        words=[Word(text=text, known=known) for text, known in made.words],
        attention=[
            GlimpseView(
                weights=one.weights.astype(float).round(6).tolist(),
                overlay=_address(one.overlay) if question.pictures else None,
            )
            for one in made.glimpses
        ],
        seen=_address(made.seen) if question.pictures else None,
    )


def _address(image: Image) -> str:
    from vqa.evaluation.look import png

    return "data:image/png;base64," + base64.b64encode(png(image)).decode("ascii")
