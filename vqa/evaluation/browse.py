"""Looking through a predictions file, however long: which lines fit a filter, and what stands on them.

The file is read once, for what a filter asks for; what is shown is read again from its place. A line that is no
prediction is counted and passed over.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic_core import from_json

from vqa.errors import ResultError
from vqa.evaluation.prediction_columns import folded, read_columns, verdict
from vqa.evaluation.predictions import Prediction

Verdict = Literal["right", "partly", "wrong", "unscored"]
VERDICTS: tuple[Verdict, ...] = ("right", "partly", "wrong", "unscored")


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
        columns = read_columns(path)
        self.path, self.skipped = path, columns.skipped
        self._offsets, self._verdicts = columns.offsets, columns.verdicts
        self._ids, self._texts = columns.ids, columns.texts
        self._types = {
            "question_type": columns.question_types,
            "answer_type": columns.answer_types,
        }
        self.question_types, self.answer_types = map(_counted, self._types.values())
        counts = np.bincount(self._verdicts, minlength=len(VERDICTS)).tolist()
        self.verdicts = dict(zip(VERDICTS, counts, strict=True))

    def __len__(self) -> int:
        return len(self._offsets)

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
            fits &= _mask(pc.match_substring(self._texts, folded(query.text)))
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


def verdict_of(score: float | None) -> Verdict:
    """What a score of 0 to 100 says."""
    return VERDICTS[verdict(score)]


def _counted(values: pa.Array) -> dict[str, int]:
    """Most first; of equals, the one that stands first."""
    counts = pc.value_counts(values).to_pylist()
    return {one["values"]: one["counts"] for one in sorted(counts, key=lambda one: -one["counts"])}


def _mask(found: pa.Array) -> NDArray[np.bool_]:
    mask: NDArray[np.bool_] = found.to_numpy(zero_copy_only=False)
    return mask
