"""Ask a trained model about a picture: one that is sent, or one of a store."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field, model_validator

from vqa.data.text import UNKNOWN
from vqa.errors import InputError, JobError
from vqa.export import MAX_QUESTION, VQAModel
from vqa.jobs.record import NAME_PATTERN
from vqa.jobs.views import View
from vqa.server.api.asking import Caller, Reader
from vqa.server.api.stores import Shelf
from vqa.server.watched import Watched

MOST_CHOICES, MOST_TOP, MOST_GLIMPSES = 64, 10, 16
PICTURE_CHARACTERS = 22 << 20

router = APIRouter(tags=["ask"])
Choice = Annotated[str, Field(min_length=1, max_length=1000)]


class AskRequest(BaseModel):
    """A question about a picture.

    Attributes:
        job: whose model answers.
        image: the picture's file in base64; or
        store, image_id: a picture of a store.
        choices: the candidates, where one of several is to be picked.
    """

    model_config = ConfigDict(extra="forbid")

    job: str = Field(pattern=NAME_PATTERN, max_length=64)
    question: str = Field(min_length=1, max_length=MAX_QUESTION)
    choices: list[Choice] = Field(default=[], max_length=MOST_CHOICES)
    image: str | None = Field(default=None, min_length=1, max_length=PICTURE_CHARACTERS)
    store: str | None = Field(default=None, pattern=NAME_PATTERN, max_length=120)
    image_id: str | None = Field(default=None, min_length=1, max_length=10_000)

    @model_validator(mode="after")
    def _one_picture(self) -> AskRequest:
        if (self.store is None) != (self.image_id is None):
            raise ValueError("store and image_id go together")
        if (self.image is None) == (self.store is None):
            raise ValueError("give image, or store and image_id")
        if len(self.choices) == 1:
            raise ValueError("one choice is no choice: give two or more, or none")
        return self


class LikelyView(View):
    """An answer with its probability, 0 to 1."""

    answer: str
    probability: float


class AnswerView(View):
    """What a model says.

    Attributes:
        answer: the best; None where the model can say none of the choices.
        top: the likeliest answers, or every choice that it can say.
        words: the question as the model read it.
        unknown: the places of words that it never learnt.
        glimpses: where it looked, as PNG pictures in data URIs, one a glimpse; empty without attention.
    """

    job: str
    name: str
    answer: str | None
    confidence: float | None
    top: list[LikelyView]
    words: list[str]
    unknown: list[int]
    glimpses: list[str]


@router.post("/ask")
def ask(request: Request, body: AskRequest, caller: Reader) -> AnswerView:
    """The model's answer. Its picture is decoded with care, and one model computes at a time."""
    from vqa.evaluation import look

    watched = Watched(body.job, caller.service, request.app.state.opened)
    model = watched.model()
    data = _picture(request, body, caller)
    try:
        with watched.opened.asking:
            answer = model.ask(data, body.question, body.choices or None)
        maps = () if answer.attention is None else answer.attention[:MOST_GLIMPSES]
        glimpses = [_uri(look.png(look.glimpse(data, model, weights))) for weights in maps]
    except InputError as error:
        text = caller.service.checker.library.without_paths(error.what)
        raise JobError(text, where=error.where or "image", fix=error.fix) from None
    return AnswerView(
        job=body.job,
        name=watched.name,
        answer=answer.answer,
        confidence=answer.confidence,
        top=[
            LikelyView(answer=text, probability=p) for text, p in answer.top[: _most(model, body)]
        ],
        words=answer.words,
        unknown=[at for at, word in enumerate(answer.words) if word == UNKNOWN],
        glimpses=glimpses,
    )


def _most(model: VQAModel, body: AskRequest) -> int:
    """Choices are all shown; of a vocabulary the likeliest."""
    return MOST_CHOICES if body.choices or model.answers is None else MOST_TOP


def _picture(request: Request, body: AskRequest, caller: Caller) -> bytes:
    if body.image is not None:
        try:
            return base64.b64decode(body.image, validate=True)
        except (binascii.Error, ValueError):
            raise JobError("is no base64", where="image") from None
    assert body.store is not None
    assert body.image_id is not None
    state = request.app.state
    return Shelf(body.store, caller.service, state.opened, state.inspections).picture(body.image_id)


def _uri(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
