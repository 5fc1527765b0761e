"""`vqa score` called, and files for it."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from vqa.commands import score

SINCE = "vqa-accuracy/since-2021"


def run(*arguments: Any) -> int:
    """The command's exit status; its errors are raised."""
    parser = argparse.ArgumentParser()
    score.configure(parser)
    return score.run(parser.parse_args([str(argument) for argument in arguments]))


def write(path: Path, value: Any) -> Path:
    """Text as it is, anything else as JSON."""
    text = value if isinstance(value, str) else json.dumps(value)
    path.write_text(text, encoding="utf-8")
    return path


def annotation(number: int, answers: list[str]) -> dict:
    """A question's annotation in the VQA layout."""
    return {
        "question_id": number,
        "image_id": number // 2,
        "question_type": "what",
        "answer_type": "other",
        "multiple_choice_answer": answers[0],
        "answers": [{"answer": text, "answer_id": at + 1} for at, text in enumerate(answers)],
    }
