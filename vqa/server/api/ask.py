"""A question about a picture, put to the model of a finished run."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from anyio import to_thread
from fastapi import APIRouter, Request

from vqa.errors import DataError, EngineError, JobError, ModelError
from vqa.jobs.questions import GlimpseView, Guess, Question, Reply, Word
from vqa.server.api.dependencies import Caller, OpenHoldings, Reader
from vqa.server.holdings import Holdings
from vqa.server.opened import Opened

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

    from vqa.evaluation.look import Answered
    from vqa.export import VQAModel

PATIENCE_SECONDS = 20.0
KNOWN_SHOWN = 8

MOST_ASKED = 8
"""Questions that are looked at at a time; of these one is answered."""

router = APIRouter(tags=["ask"])


@router.post("/ask")
async def ask(request: Request, question: Question, caller: Reader, held: OpenHoldings) -> Reply:
    """Put a question to a model. One is answered at a time."""
    state = (
        request.app.state
    )  # with threads of their own: those that wait hold none that others need
    about = question, caller, held, state.opened
    return await to_thread.run_sync(_asked, *about, limiter=state.askers)


def _asked(question: Question, caller: Caller, held: Holdings, opened: Opened) -> Reply:
    from vqa.evaluation.look import answer_question

    name = caller.service.queue.get(question.job).submission.name
    data = _picture(question, held)
    with _turn(opened):
        model = exported_model(question.job, caller, opened)
        regions = _regions(question, held, model)
        try:
            made = answer_question(model, data, question.question, question.choices, regions)
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


def _regions(question: Question, held: Holdings, model: VQAModel) -> Tensor | None:
    """Of a picture of a store, where the model reads regions; a picture that comes along has none."""
    if question.store is None or question.image_id is None:
        return None
    return held.regions(question.store, question.image_id, model.experiment)


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
    from vqa.data.image import png

    return "data:image/png;base64," + base64.b64encode(png(image)).decode("ascii")
