"""A study as CSV: one figure a row, safe to open in a spreadsheet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from vqa.ablation.effects import Effect
from vqa.ablation.study import TYPE_KINDS, Row, Study
from vqa.evaluation.table import csv_text

COLUMNS = ("variant", "kind", "name", "score", "sd", "seeds", "low", "high", "p", "adjusted_p")
COSTS = ("parameters", "questions_per_second", "seconds_to_best", "peak_memory_mb")


def to_csv(study: Study) -> str:
    """One row a figure, with `COLUMNS` as its head.

    Kinds: `overall`, `per_answer_type`, `per_question_type`, the costs of `Row`, `comparison` (`name` is what the
    variant is tested against), `main_effect` and `interaction` (`name` says of what), `left_out` (`name` says why).
    """
    rows = ([*cells, *[""] * (len(COLUMNS) - len(cells))] for cells in _rows(study))
    return csv_text(COLUMNS, rows)


def _rows(study: Study) -> Iterator[Sequence[Any]]:
    for row in study.rows:
        yield from _figures(row)
    for pair in study.pairs:
        test = pair.test
        yield (
            pair.a,
            "comparison",
            pair.b,
            test.difference,
            "",
            "",
            test.low,
            test.high,
            test.p_value,
            pair.adjusted_p,
        )
    for kind, effects in (("main_effect", study.main_effects), ("interaction", study.interactions)):
        yield from (_effect(kind, effect) for effect in effects)
    for one in study.left_out:
        yield one.variant, "left_out", one.reason, "", "", "" if one.seed is None else one.seed


def _figures(row: Row) -> Iterator[Sequence[Any]]:
    seeds = len(row.seeds)
    yield row.name, "overall", "", row.mean, row.sd, seeds, row.low, row.high
    for kind in TYPE_KINDS:
        yield from (
            (row.name, kind, name, value, "", seeds) for name, value in getattr(row, kind).items()
        )
    for kind in COSTS:
        if getattr(row, kind) is not None:
            yield row.name, kind, "", getattr(row, kind), "", seeds


def _effect(kind: str, effect: Effect) -> Sequence[Any]:
    parts = zip(effect.axes, effect.values, effect.against, strict=True)
    name = ", ".join(f"{axis}: {value} against {against}" for axis, value, against in parts)
    test = effect.test
    return (
        "",
        kind,
        name,
        test.difference,
        "",
        effect.seeds,
        test.low,
        test.high,
        test.p_value,
        effect.adjusted_p,
    )
