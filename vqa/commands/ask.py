"""vqa ask RUN IMAGE QUESTION [--choice TEXT …] [--regions FILE] [--attention PNG]"""

from __future__ import annotations

import argparse
import io
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vqa.commands.find import run_path
from vqa.formatting import plain

if TYPE_CHECKING:
    from vqa.export import Answer
    from vqa.jobs.questions import Question


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("run", type=run_path, help="a finished run, its job, or a model")
    parser.add_argument("image", type=Path, help="a picture")
    parser.add_argument("question", help="a question about it, in quotes")
    parser.add_argument(
        "--choice",
        action="append",
        default=[],
        metavar="TEXT",
        help="a candidate answer; give two or more",
    )
    parser.add_argument(
        "--regions",
        type=Path,
        metavar="FILE",
        help="what a detector found in the picture, for a model that reads regions: a .tsv of one line or an .npz",
    )
    parser.add_argument("--attention", type=Path, metavar="PNG", help="draw where the model looked")
    parser.add_argument("--json", action="store_true", help="print the answer as JSON")


def run(args: argparse.Namespace) -> int:
    """Answer one question."""
    from vqa.errors import InputError, ModelError
    from vqa.evaluation.predictions import MAX_ANSWER

    if len(args.choice) == 1:
        raise InputError(
            "one choice is no choice", where="--choice", fix="give two or more, or none"
        )
    answer, known = ask_there(args) if _is_elsewhere(args.run) else ask_here(args)
    if answer.answer is None:
        some = ", ".join(known[:5])
        fix = f"give answers that it learnt, among them {some}"
        raise ModelError("the model can say none of the choices", where="--choice", fix=fix)
    for choice in args.choice:
        if choice not in dict(answer.top):
            print(f"vqa: note: the model cannot say {choice!r}", file=sys.stderr)
    tell_unknown(answer.words)
    if args.attention is not None:
        draw(args.attention, args.image, args.question, answer)
    if args.json:
        print(json.dumps(to_json(answer), ensure_ascii=False, indent=2))
        return 0
    print(plain(answer.answer, MAX_ANSWER))
    for text, probability in answer.top:
        print(f"  {100 * probability:5.1f} %  {plain(text, MAX_ANSWER)}")
    return 0


def tell_unknown(words: Sequence[str]) -> None:
    """Say how the question is read where words of it were not learnt: to the model they are all the same."""
    from vqa.data.text import UNKNOWN
    from vqa.evaluation.predictions import MAX_ANSWER

    if count := words.count(UNKNOWN):
        read = " ".join("…" if word == UNKNOWN else word for word in words)
        told = f"words of the question that the model has not learnt: {count}; it reads"
        print(f"vqa: note: {told} {plain(read, MAX_ANSWER)!r}", file=sys.stderr)


def ask_here(args: argparse.Namespace) -> tuple[Answer, Sequence[str]]:
    """What a model on this machine says, and the answers that it learnt."""
    from vqa.export import load

    model = load(args.run)
    choices = args.choice or None
    answer = model.ask(args.image, args.question, choices=choices, regions=args.regions)
    return answer, model.vocabulary.answers


def ask_there(args: argparse.Namespace) -> tuple[Answer, Sequence[str]]:
    """The same of a job of the server that `VQA_SERVER` names."""
    import base64

    import numpy as np

    from vqa.commands.find import find_job
    from vqa.data.image import read_image
    from vqa.data.record import ImageInput
    from vqa.data.text import UNKNOWN
    from vqa.errors import InputError
    from vqa.export import Answer
    from vqa.jobs.connect import connect
    from vqa.jobs.remote import RemoteService

    if args.regions is not None:
        raise InputError(
            "regions are not sent to a server",
            where="--regions",
            fix="ask where the model is: vqa ask MODEL …",
        )
    service = connect()
    assert isinstance(service, RemoteService)
    picture = base64.b64encode(read_image(ImageInput(path=args.image))).decode("ascii")
    said = service.ask(_question(args, find_job(service, str(args.run)), picture))
    maps = np.array([glimpse.weights for glimpse in said.attention]) if said.attention else None
    words = [word.text if word.known else UNKNOWN for word in said.words]
    top = [(guess.answer, guess.probability) for guess in said.top]
    return Answer(said.answer, said.confidence, top, maps, words), said.known


def _question(args: argparse.Namespace, job: str, picture: str) -> Question:
    """What is sent to a server.

    Raises:
        InputError: it takes no such question or choice.
    """
    from pydantic import ValidationError

    from vqa.errors import InputError
    from vqa.faults import explain
    from vqa.jobs.questions import Question

    fields = {"job": job, "question": args.question, "image": picture, "choices": args.choice}
    try:
        return Question.model_validate({**fields, "pictures": False})
    except ValidationError as error:
        raise InputError(explain(error, Question), where="vqa ask") from None


def _is_elsewhere(run: Path) -> bool:
    """Whether it is a job of another machine's service."""
    from vqa.jobs.connect import server

    return server() is not None and not run.exists()


def draw(file: Path, image: Path, question: str, answer: Answer) -> None:
    """Write a picture of where the model looked, one panel a glimpse."""
    from vqa.data.image import decode_image, read_image
    from vqa.data.record import ImageInput
    from vqa.errors import ModelError
    from vqa.evaluation.attention_map import panel
    from vqa.outputs import replacing

    if answer.attention is None:
        raise ModelError(
            "this model has no attention to draw",
            where="--attention",
            fix="train with model.attention=soft; regions need their boxes, too",
        )
    pixels = decode_image(read_image(ImageInput(path=image)))
    lines = [question, f"{answer.answer} ({100 * (answer.confidence or 0):.0f} %)"]
    drawn = io.BytesIO()
    panel(pixels, answer.attention, lines).save(drawn, "PNG")
    with replacing(file) as out:
        out.write(drawn.getbuffer())
    print(f"vqa: attention drawn to {file}", file=sys.stderr)


def to_json(answer: Answer) -> dict[str, object]:
    """The answer in plain types."""
    return {
        "answer": answer.answer,
        "confidence": answer.confidence,
        "top": [{"answer": text, "probability": round(p, 6)} for text, p in answer.top],
        "words": answer.words,
        "attention": None if answer.attention is None else answer.attention.round(6).tolist(),
    }
