"""Everything that can be chosen on an ablation's page; all of it stands in the address, so that it can be shared."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field

from vqa.ablation.charts import COLOURS
from vqa.ablation.study import TYPE_KINDS, Options
from vqa.ablation.verdict import verdict
from vqa.evaluation.disagreement import Side
from vqa.tracking.curve_names import VALIDATED

DEFAULT_METRIC, BEST_FIRST = VALIDATED, "-score"
Row = Mapping[str, Any]
Text = Annotated[str, Field(max_length=200)]


class Choices(BaseModel):
    """The choices as forms and links send them; what is empty or left out is chosen by the page.

    Attributes:
        baseline: variant that the others are tested against.
        sort: a column, with − before it from the highest down.
        metric: of the curves.
        show: variants whose curves are drawn.
        kind: of types in the heat map.
        a, b: variants whose questions are compared; `seed` of one run each, "" for all of them.
        side: whose right answers are listed, from the `start`-th on.
    """

    model_config = ConfigDict(extra="ignore")

    baseline: Text = ""
    split: Text = ""
    protocol: Text = ""
    sort: Text = ""
    metric: Text = ""
    show: list[Text] = Field(default=[], max_length=100)
    kind: Literal["", "per_question_type", "per_answer_type"] = ""
    a: Text = ""
    b: Text = ""
    seed: Annotated[str, Field(pattern=r"^-?[0-9]{0,18}$")] = ""
    side: Side = "a"
    start: int = Field(default=0, ge=0, lt=1 << 40)

    @property
    def options(self) -> Options:
        """How the study is to be made."""
        return Options(baseline=self.baseline or None, split=self.split, protocol=self.protocol)

    def query(self, **changes: object) -> str:
        """As an address carries it."""
        return urlencode(self.pairs(**changes))

    def pairs(self, **changes: object) -> list[tuple[str, str]]:
        """Field by field, only what differs from the page's own choice."""
        defaults = Choices().model_dump()
        fields = {k: v for k, v in (self.model_dump() | changes).items() if v != defaults.get(k)}
        return [
            (name, str(one))
            for name, value in fields.items()
            for one in (value if isinstance(value, list) else [value])
            if one is not None
        ]

    def only(self, *names: str) -> str:
        """These alone, as an address carries them."""
        return urlencode([(name, value) for name, value in self.pairs() if name in names])

    def others(self, *names: str) -> list[tuple[str, str]]:
        """What a form that sends these carries beside them."""
        return [(name, value) for name, value in self.pairs() if name not in names]


Asked = Annotated[Choices, Query()]


def shown(choices: Choices, study: Mapping[str, Any], there: Sequence[str]) -> list[str]:
    """Variants whose curves are drawn: those chosen, else the reference and the best."""
    known = [name for name in dict.fromkeys(choices.show) if name in there]
    if known:
        return known[:COLOURS]
    ranked = sorted(study["variants"], key=lambda row: -row["mean"])
    best = [row["name"] for row in ranked if row["baseline"] is None]
    wished = dict.fromkeys([study["reference"], *best, *there])
    return [name for name in wished if name in there][:COLOURS]


def kind_of(choices: Choices, study: Mapping[str, Any]) -> str:
    """The kind of types that is shown: the one that has several."""
    counts = {
        kind: max((len(row[kind]) for row in study["variants"]), default=0) for kind in TYPE_KINDS
    }
    if choices.kind and counts[choices.kind]:
        return choices.kind
    return max(reversed(TYPE_KINDS), key=lambda kind: counts[kind])


def compared(choices: Choices, study: Mapping[str, Any]) -> tuple[str, str] | None:
    """The two variants whose questions are compared: those chosen, else the best and what it was tested against."""
    names = [row["name"] for row in study["variants"] if row["runs"]]
    if len(names) < 2:
        return None
    found = verdict(study)
    wished = [found.best, found.other or study["reference"]] if found else []
    a = next(name for name in (choices.a, *wished, *names) if name in names)
    b = next(name for name in (choices.b, *reversed(wished), *names) if name in names and name != a)
    return a, b


KEYS: dict[str, Callable[[Row], Any]] = {
    "variant": lambda row: row["name"].lower(),
    "score": lambda row: row["mean"],
    "seeds": lambda row: len(row["seeds"]),
    "parameters": lambda row: row["parameters"],
    "speed": lambda row: row["questions_per_second"],
    "best": lambda row: row["seconds_to_best"],
    "memory": lambda row: row["peak_memory_mb"],
}
"""What the table can be sorted by, beside the types."""


def key_of(column: str) -> Callable[[Row], Any]:
    """What a column sorts by; "q.NAME" and "a.NAME" are types."""
    if column in KEYS:
        return KEYS[column]
    head, _, name = column.partition(".")
    kind = {"q": "per_question_type", "a": "per_answer_type"}.get(head)
    return KEYS["score"] if kind is None else lambda row: row[kind].get(name)


def ordered(rows: Sequence[Row], sort: str) -> list[Row]:
    """Rows in the order that was chosen. Those without a figure are last."""
    key = key_of(sort.removeprefix("-"))
    known = [row for row in rows if key(row) is not None]
    rest = [row for row in rows if key(row) is None]
    return sorted(known, key=key, reverse=sort.startswith("-")) + rest


def next_sort(column: str, sort: str) -> str:
    """What a press on a column's head asks for: figures from the highest down first."""
    first, second = (column, f"-{column}") if column == "variant" else (f"-{column}", column)
    return second if (sort or BEST_FIRST) == first else first


def aria_sort(column: str, sort: str) -> str:
    """How a column says that it is sorted by."""
    sort = sort or BEST_FIRST
    if sort.removeprefix("-") != column:
        return "none"
    return "descending" if sort.startswith("-") else "ascending"
