"""vqa ask RUN IMAGE QUESTION [--choice TEXT …] [--attention PNG]"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from vqa.commands.find import run_path

if TYPE_CHECKING:
    from vqa.export import Answer


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
    parser.add_argument("--attention", type=Path, metavar="PNG", help="draw where the model looked")
    parser.add_argument("--json", action="store_true", help="print the answer as JSON")


def run(args: argparse.Namespace) -> int:
    """Answer one question."""
    from vqa.errors import InputError, ModelError
    from vqa.export import load

    if len(args.choice) == 1:
        raise InputError(
            "one choice is no choice", where="--choice", fix="give two or more, or none"
        )
    model = load(args.run)
    answer = model.ask(args.image, args.question, choices=args.choice or None)
    if answer.answer is None:
        known = model.vocabulary.answers
        raise ModelError(
            "the model can say none of the choices",
            where="--choice",
            fix=f"give answers that it learnt ({len(known)}, among them {', '.join(known[:5])})",
        )
    for choice in args.choice:
        if choice not in dict(answer.top):
            print(f"vqa: note: the model cannot say {choice!r}", file=sys.stderr)
    if args.attention is not None:
        draw(args.attention, args.image, args.question, answer)
    if args.json:
        print(json.dumps(to_json(answer), ensure_ascii=False, indent=2))
        return 0
    print(answer.answer)
    for text, probability in answer.top:
        print(f"  {100 * probability:5.1f} %  {text}")
    return 0


def draw(file: Path, image: Path, question: str, answer: Answer) -> None:
    """Write a picture of where the model looked, one panel a glimpse."""
    from vqa.data.image import decode_image
    from vqa.errors import ModelError
    from vqa.evaluation.attention_map import panel

    if answer.attention is None:
        raise ModelError(
            "this model has no attention to draw",
            where="--attention",
            fix="train with model.attention=soft",
        )
    pixels = decode_image(image.read_bytes())
    lines = [question, f"{answer.answer} ({100 * (answer.confidence or 0):.0f} %)"]
    try:
        panel(pixels, answer.attention, lines).save(file, "PNG")
    except OSError as error:
        raise ModelError(f"cannot be written ({error.strerror})", where=str(file)) from None
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
