"""A study as CSV: one figure a row, safe to open in a spreadsheet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from vqa.ablation.effects import Effect
from vqa.ablation.study import TYPE_KINDS, Row, Study
from vqa.evaluation.comparison import Pair
from vqa.evaluation.table import csv_text

COLUMNS = (
    "variant",
    "kind",
    "name",
    "score",
    "sd",
    "seeds",
    "low",
    "high",
    "p",
    "adjusted_p",
    "users",
)
COSTS = ("parameters", "questions_per_second", "seconds_to_best", "peak_memory_mb")


def to_csv(study: Study) -> str:
    """One row a figure, with `COLUMNS` as its head.

    Kinds: `overall`, `run` (`name` is its directory's, `seeds` its seed), `per_answer_type`, `per_question_type`, the
    costs of `Row`, `comparison` (`name` is what the variant is tested against), `main_effect` and `interaction`
    (`name` says of what), `left_out` (`name` says why). `users` says who submitted the runs.
    """
    return csv_text(COLUMNS, (_line(cells, users) for cells, users in _rows(study)))


def _line(cells: Sequence[Any], users: str) -> list[Any]:
    """All cells of a line, those behind the given ones empty, `users` in the last."""
    return [*cells, *[""] * (len(COLUMNS) - 1 - len(cells)), users]


def _rows(study: Study) -> Iterator[tuple[Sequence[Any], str]]:
    """Cells, and who submitted the runs that they are of."""
    for row in study.rows:
        users = ", ".join(filter(None, dict.fromkeys(row.users)))
        yield from ((cells, users) for cells in (*_figures(row), *_costs(row)))
        yield from _runs(row)
    yield from ((_comparison(pair), "") for pair in study.pairs)
    for kind, effects in (("main_effect", study.main_effects), ("interaction", study.interactions)):
        yield from ((_effect(kind, effect), "") for effect in effects)
    for one in study.left_out:
        yield (one.variant, "left_out", one.reason, "", "", one.seed), one.user


def _figures(row: Row) -> Iterator[Sequence[Any]]:
    seeds = len(row.seeds)
    yield row.name, "overall", "", row.mean, row.sd, seeds, row.low, row.high
    for kind in TYPE_KINDS:
        yield from (
            (row.name, kind, name, value, "", seeds) for name, value in getattr(row, kind).items()
        )


def _costs(row: Row) -> Iterator[Sequence[Any]]:
    for kind in COSTS:
        if getattr(row, kind) is not None:
            yield row.name, kind, "", getattr(row, kind), "", len(row.seeds)


def _runs(row: Row) -> Iterator[tuple[Sequence[Any], str]]:
    """None of what was computed."""
    if row.runs:
        for run, score, seed, user in zip(row.runs, row.scores, row.seeds, row.users, strict=True):
            yield (row.name, "run", Path(run).name, score, "", seed), user


def _comparison(pair: Pair) -> Sequence[Any]:
    test = pair.test
    figures = (test.difference, "", "", test.low, test.high, test.p_value, pair.adjusted_p)
    return (pair.a, "comparison", pair.b, *figures)


def _effect(kind: str, effect: Effect) -> Sequence[Any]:
    parts = zip(effect.axes, effect.values, effect.against, strict=True)
    name = ", ".join(f"{axis}: {value} against {against}" for axis, value, against in parts)
    test, seeds = effect.test, effect.seeds
    figures = (test.difference, "", seeds, test.low, test.high, test.p_value, effect.adjusted_p)
    return ("", kind, name, *figures)
