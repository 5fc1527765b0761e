"""Looking through a predictions file, however long: which lines fit a filter, and what stands on them.

The file is read once, for what a filter asks for; what is shown is read again from its place. A line that is no
prediction is counted and passed over.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic_core import from_json

from vqa.errors import ResultError
from vqa.evaluation.predictions import Prediction, id_text

Verdict = Literal["right", "partly", "wrong", "unscored"]
VERDICTS: tuple[Verdict, ...] = ("right", "partly", "wrong", "unscored")
LONGEST_TEXT = 2000
"""Characters of a line that a search looks at."""


@dataclass(frozen=True)
class Query:
    """Which predictions to show; what is None chooses nothing.

    Attributes:
        verdict: `right` has the full score, `wrong` none of it, `partly` something between.
        question_type, answer_type: exactly these.
        text: stands in the question, the model's answer or a right one, in any case of letters.
    """

    verdict: Verdict | None = None
    question_type: str | None = None
    answer_type: str | None = None
    text: str | None = None


@dataclass(frozen=True)
class Page:
    """Some of the predictions that fit.

    Attributes:
        items: in the file's order.
        total: how many fit in all.
    """

    items: list[Prediction]
    total: int


class PredictionIndex:
    """What a filter asks for, of every line of a predictions file.

    Attributes:
        path: the file.
        skipped: lines that are no predictions.
        question_types, answer_types: how many questions each has, most first.
        verdicts: how many questions have each.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.skipped = path, 0
        columns = _Columns()
        with path.open("rb") as lines:
            self._read(lines, columns)
        self._offsets = np.array(columns.offsets, dtype=np.int64)
        self._verdicts = np.array(columns.verdicts, dtype=np.int8)
        self._ids = pa.array(columns.ids, pa.string())
        self._texts = pa.array(columns.texts, pa.large_string())
        self._types = {name: pa.array(values) for name, values in columns.types.items()}
        self.question_types, self.answer_types = (
            _counted(columns.types[name]) for name in ("question_type", "answer_type")
        )
        counts = np.bincount(self._verdicts, minlength=len(VERDICTS)).tolist()
        self.verdicts = dict(zip(VERDICTS, counts, strict=True))

    def __len__(self) -> int:
        return len(self._offsets)

    def _read(self, lines: Iterable[bytes], columns: _Columns) -> None:
        offset = 0
        for line in lines:
            if line.strip() and not columns.add(line, offset):
                self.skipped += 1
            offset += len(line)

    def page(self, query: Query, start: int = 0, count: int = 24) -> Page:
        """`count` predictions of those that fit, from the `start`-th on."""
        rows = self.rows(query)
        return Page(list(self._items(rows[start : start + count].tolist())), len(rows))

    def rows(self, query: Query) -> NDArray[np.int64]:
        """The places, among all predictions, of those that fit."""
        fits = np.ones(len(self), dtype=bool)
        if query.verdict is not None:
            fits &= self._verdicts == VERDICTS.index(query.verdict)
        for name, values in self._types.items():
            wanted = getattr(query, name)
            if wanted is not None:
                fits &= _mask(pc.equal(values, wanted))
        if query.text:
            fits &= _mask(pc.match_substring(self._texts, _folded(query.text)))
        return np.flatnonzero(fits)

    def find(self, question_id: str) -> Prediction:
        """The prediction of a question.

        Raises:
            ResultError: there is none.
        """
        row = pc.index(self._ids, pa.scalar(question_id, pa.string())).as_py()
        found = list(self._items([row] if row >= 0 else []))
        if not found:
            raise ResultError(f"no prediction of question {question_id!r}", where=self.path.name)
        return found[0]

    def beside(self, query: Query, question_id: str) -> tuple[str | None, str | None]:
        """The ids before and behind a question among those that fit."""
        row = pc.index(self._ids, pa.scalar(question_id, pa.string())).as_py()
        rows = self.rows(query)
        before, behind = rows[rows < row][-1:], rows[rows > row][:1]
        first, last = (self._ids[int(r[0])].as_py() if len(r) else None for r in (before, behind))
        return first, last

    def _items(self, rows: Sequence[int]) -> Iterator[Prediction]:
        """What stands on the lines; one that was changed meanwhile, or holds what none may, is left out."""
        with self.path.open("rb") as file:
            for row in rows:
                file.seek(self._offsets[row])
                try:
                    yield Prediction.from_json(from_json(file.readline()))
                except (ValueError, ResultError):
                    continue


class _Columns:
    """The columns of an index while it is made."""

    def __init__(self) -> None:
        self.offsets: list[int] = []
        self.ids: list[str] = []
        self.texts: list[str] = []
        self.verdicts: list[int] = []
        self.types: dict[str, list[str]] = {"question_type": [], "answer_type": []}

    def add(self, line: bytes, offset: int) -> bool:
        """Note a line; False where it is no prediction."""
        try:
            record = from_json(line, cache_strings="keys")
            name, types = id_text(record["question_id"]), [_type(record, n) for n in self.types]
            verdict, text = _verdict(record.get("score")), _text(record)
        except (ValueError, KeyError, TypeError, AttributeError):
            return False
        self.offsets.append(offset)
        self.ids.append(name)
        self.verdicts.append(verdict)
        self.texts.append(text)
        for values, value in zip(self.types.values(), types, strict=True):
            values.append(value)
        return True


def verdict_of(score: float | None) -> Verdict:
    """What a score of 0 to 100 says."""
    return VERDICTS[_verdict(score)]


def _verdict(score: Any) -> int:
    if score is None:
        return 3
    return 0 if score >= 100 else 2 if score <= 0 else 1


def _type(record: dict[str, Any], name: str) -> str:
    value = record.get(name, "")
    if not isinstance(value, str):
        raise ValueError(f"{name} is no text")
    return value


def _text(record: dict[str, Any]) -> str:
    words = (record.get("question", ""), record.get("answer") or "", *record.get("answers", ()))
    return _folded("\n".join(words)[:LONGEST_TEXT])


def _folded(text: str) -> str:
    return text.lower() if text.isascii() else text.casefold()


def _counted(values: Iterable[str]) -> dict[str, int]:
    return dict(Counter(values).most_common())


def _mask(found: pa.Array) -> NDArray[np.bool_]:
    mask: NDArray[np.bool_] = found.to_numpy(zero_copy_only=False)
    return mask
