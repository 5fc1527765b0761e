"""The predictions file of a run: one JSON object a question, complete in itself.

A line carries the question's place in the data (ids, types, split), the ground truth (answers, or
choices and the right one), what the model said, and its score. Whoever has this file can score,
compare and explain a run without the data, the model or torch.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from vqa.data.check import file_stem
from vqa.errors import ResultError
from vqa.evaluation.files import json_lines, read_text, write_atomically

MAX_ANSWER = 10_000
"""An answer, a choice or an id may not be longer than this many characters."""


def predictions_file(run: Path, split: str) -> Path:
    """Where a run keeps its predictions of a split.

    Raises:
        DataError: no file can be called so.
    """
    return run / "predictions" / f"{file_stem(split)}.jsonl"


@dataclass(slots=True)
class Prediction:
    """What a model said to one question, beside what is right.

    Never changed once made. Not declared frozen: that makes making one three times as slow, and there are
    hundreds of thousands.

    Attributes:
        question_id: unique in a file.
        image_id: the image asked about; intervals and tests resample images, not questions.
        split: name of the split.
        question_type: the group of `per_question_type` ("" where the data has none).
        answer_type: the group of `per_answer_type` (likewise).
        answer: the model's answer; None where it gave none, which counts as wrong.
        answers: what people answered; ten in VQA, one elsewhere, empty where it is withheld.
        choices: the candidates of a multiple-choice question, in the order in which they were
            shown.
        label: position of the right choice, −1 where there is none.
        choice_scores: the model's score of each choice, any scale, higher is better; None for a
            choice that a classifier's vocabulary cannot say. Empty where only `answer` is known.
        top: the likeliest answers of an open-ended model with their probabilities, best first.
        confidence: the model's probability for `answer`, 0 to 1; None where it has none.
        score: 0 to 100 under the run's protocol; None before scoring.
        question: the text of the question, for reports.
    """

    question_id: str
    image_id: str
    split: str = ""
    question_type: str = ""
    answer_type: str = ""
    answer: str | None = None
    answers: list[str] = field(default_factory=list)
    choices: list[str] = field(default_factory=list)
    label: int = -1
    choice_scores: list[float | None] = field(default_factory=list)
    top: list[tuple[str, float]] = field(default_factory=list)
    confidence: float | None = None
    score: float | None = None
    question: str = ""

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready object with every field."""
        return {name: getattr(self, name) for name in FIELD_NAMES}

    def with_score(self, score: float) -> Prediction:
        """The same prediction with its score (`dataclasses.replace`, but quick: it is done for
        every question)."""
        return self._copy(self.answer, self.choice_scores, self.top, self.confidence, score)

    def with_said(
        self,
        answer: str | None,
        choice_scores: list[float | None],
        top: list[tuple[str, float]],
        confidence: float | None,
    ) -> Prediction:
        """The same question with what was said to it, unscored."""
        return self._copy(answer, choice_scores, top, confidence, None)

    def with_question(self, question: str, choices: list[str], label: int) -> Prediction:
        """The same with the question's own text and choices."""
        made = self._copy(self.answer, self.choice_scores, self.top, self.confidence, self.score)
        made.question, made.choices, made.label = question, choices, label
        return made

    def _copy(
        self,
        answer: str | None,
        choice_scores: list[float | None],
        top: list[tuple[str, float]],
        confidence: float | None,
        score: float | None,
    ) -> Prediction:
        return Prediction(
            self.question_id,
            self.image_id,
            self.split,
            self.question_type,
            self.answer_type,
            answer,
            self.answers,
            self.choices,
            self.label,
            choice_scores,
            top,
            confidence,
            score,
            self.question,
        )

    @classmethod
    def from_json(cls, record: Any, where: str = "prediction") -> Prediction:
        """Check a parsed object and make a `Prediction` of it. Unknown keys are ignored.

        Raises:
            ResultError: a field is absent, of the wrong type or out of range; `where` names the
                record.
        """
        if not isinstance(record, dict):
            raise ResultError(f"expected an object, found {_kind(record)}", where=where)
        known = {name: record[name] for name in FIELD_NAMES if name in record}
        try:
            return cls(**_checked(known))
        except _BadField as error:
            raise ResultError(str(error), where=where) from None


FIELD_NAMES = tuple(item.name for item in fields(Prediction))


def read_predictions(path: Path | str) -> list[Prediction]:
    """Read a predictions file (JSON Lines, gzipped or not), in its order.

    Raises:
        ResultError: a line is no valid prediction or repeats a question id; names file:line.
    """
    path = Path(path)
    predictions = []
    first_line: dict[str, int] = {}
    for number, record in json_lines(read_text(path), path):
        prediction = Prediction.from_json(record, f"{path}:{number}")
        if prediction.question_id in first_line:
            earlier = first_line[prediction.question_id]
            raise ResultError(
                f"question id {prediction.question_id!r} already stands on line {earlier}",
                where=f"{path}:{number}",
            )
        first_line[prediction.question_id] = number
        predictions.append(prediction)
    return predictions


def write_predictions(path: Path | str, predictions: Iterable[Prediction]) -> None:
    """Write a predictions file whole or not at all (temporary file, fsync, replace).

    Raises:
        ResultError: a value is not finite or a question id is repeated; nothing is written.
    """
    write_atomically(Path(path), _lines(predictions))


def scores_digest(predictions: Iterable[Prediction]) -> str | None:
    """What tells these scores, in this order, from any others; None where one is missing."""
    rows = [(item.question_id, item.score) for item in predictions]
    if any(score is None for _, score in rows):
        return None
    return hashlib.sha256(
        json.dumps([(one, float(score or 0)) for one, score in rows]).encode()
    ).hexdigest()


def check_unique(predictions: Sequence[Prediction]) -> None:
    """Refuse a repeated question id.

    Raises:
        ResultError: naming the first one.
    """
    seen: set[str] = set()
    for prediction in predictions:
        if prediction.question_id in seen:
            raise ResultError(
                "predicted twice",
                where=f"question {prediction.question_id}",
                fix="give each question once",
            )
        seen.add(prediction.question_id)


def id_text(value: Any) -> str:
    """An id as text: a string as it stands, an integer in decimal.

    Raises:
        ValueError: anything else, an empty or an overlong string.
    """
    if type(value) is int:
        return str(value)
    if not isinstance(value, str):
        raise ValueError(f"an id is a string or an integer, found {_kind(value)}")
    if not value:
        raise ValueError("an id has at least one character, found none")
    return plain_text(value)


def plain_text(value: Any) -> str:
    """`value` where it is a string that can be written as UTF-8 and is not overlong.

    Raises:
        ValueError: it is not.
    """
    if type(value) is str and value.isascii() and len(value) <= MAX_ANSWER:
        return value
    if not isinstance(value, str):
        raise ValueError(f"expected a string, found {_kind(value)}")
    if len(value) > MAX_ANSWER:
        raise ValueError(f"{len(value)} characters long, at most {MAX_ANSWER} are allowed")
    if not value.isascii():
        try:
            value.encode("utf-8")
        except UnicodeEncodeError:
            raise ValueError("holds half a surrogate pair, which is no text") from None
    return value


def finite_number(value: Any, low: float = -math.inf, high: float = math.inf) -> float:
    """`value` as a float where it is a finite number from `low` to `high`.

    Raises:
        ValueError: it is not.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"expected a number, found {_kind(value)}")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number) or not low <= number <= high:
        raise ValueError(f"expected a finite number from {low:g} to {high:g}, found {number:g}")
    return number


class _BadField(ValueError):
    """A field and what is wrong with it."""


def _lines(predictions: Iterable[Prediction]) -> Iterable[str]:
    seen: set[str] = set()
    for prediction in predictions:
        where = f"question {prediction.question_id}"
        if prediction.question_id in seen:
            raise ResultError("predicted twice", where=where)
        seen.add(prediction.question_id)
        try:
            yield json.dumps(prediction.to_json(), allow_nan=False) + "\n"
        except (ValueError, TypeError) as error:
            raise ResultError(f"cannot be written ({error})", where=where) from error


def _checked(record: dict[str, Any]) -> dict[str, Any]:
    for required in ("question_id", "image_id"):
        if required not in record:
            raise _BadField(f"no {required!r}")
    checked = {}
    for name, value in record.items():
        try:
            checked[name] = CHECKS[name](value)
        except ValueError as error:
            raise _BadField(f"{name}: {error}") from None
    _check_choices(checked)
    return checked


def _check_choices(record: dict[str, Any]) -> None:
    choices, scores = record.get("choices", []), record.get("choice_scores", [])
    if scores and len(scores) != len(choices):
        raise _BadField(f"choice_scores: {len(scores)} scores for {len(choices)} choices")
    if record.get("label", -1) >= max(len(choices), 0):
        raise _BadField(f"label: {record['label']} of {len(choices)} choices")


def _label(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < -1:
        raise ValueError(f"expected an integer from -1, found {value!r:.40}")
    return value


def _answer_probability(item: Any) -> tuple[str, float]:
    if not isinstance(item, list | tuple) or len(item) != 2:
        raise ValueError("expected pairs of answer and probability")
    return plain_text(item[0]), finite_number(item[1], 0, 1)


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list | tuple):
        raise ValueError(f"expected a list, found {_kind(value)}")
    return list(value)


def _texts(value: Any) -> list[str]:
    items = _list(value)
    try:
        joined = "".join(items)
    except TypeError:
        joined = None
    # All at once where that is enough: there are millions.
    if joined is not None and len(joined) <= MAX_ANSWER and joined.isascii():
        return items
    return [plain_text(item) for item in items]


def _choice_scores(value: Any) -> list[float | None]:
    return [None if item is None else finite_number(item) for item in _list(value)]


def _top(value: Any) -> list[tuple[str, float]]:
    return [_answer_probability(item) for item in _list(value)]


def _answer(value: Any) -> str | None:
    return None if value is None else plain_text(value)


def _confidence(value: Any) -> float | None:
    return None if value is None else finite_number(value, 0, 1)


def _score(value: Any) -> float | None:
    return None if value is None else finite_number(value, 0, 100)


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    names = {bool: "a boolean", int: "a number", float: "a number", str: "a string", list: "a list"}
    return names.get(type(value), "an object" if isinstance(value, dict) else type(value).__name__)


CHECKS: dict[str, Callable[[Any], Any]] = {
    "question_id": id_text,
    "image_id": id_text,
    "split": plain_text,
    "question_type": plain_text,
    "answer_type": plain_text,
    "answer": _answer,
    "answers": _texts,
    "choices": _texts,
    "label": _label,
    "choice_scores": _choice_scores,
    "top": _top,
    "confidence": _confidence,
    "score": _score,
    "question": plain_text,
}
"""What each field of `Prediction` may hold."""
