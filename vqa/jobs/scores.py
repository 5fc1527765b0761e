"""The best score of each user: a table for who gives marks."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from vqa.jobs.groups import MOST_JOBS
from vqa.jobs.queue import Filter, Queue
from vqa.jobs.record import Job, State
from vqa.jobs.views import ScoreView

COLUMNS = tuple(ScoreView.model_fields)
Kind = tuple[str, str, str]
"""Scores of one kind can be held against each other: protocol, split, store."""


def best_scores(
    queue: Queue,
    wanted: Filter,
    result_of: Callable[[Job], Mapping[str, Any] | None],
    store_of: Callable[[Job], str],
) -> list[ScoreView]:
    """Of each user the best score of each kind, the highest first; kinds stand apart.

    Args:
        wanted: chooses jobs; of these, those that have succeeded count.
    """
    found: dict[tuple[Kind, str], ScoreView] = {}
    for job in reversed(queue.find(replace(wanted, states=(State.SUCCEEDED,)), MOST_JOBS)):
        one = _score(job, result_of(job) or {}, store_of(job))
        if one is not None:
            key = _kind(one), one.user
            known = found.get(key)
            best = one if known is None or one.score > known.score else known
            found[key] = best.model_copy(update={"jobs": known.jobs + 1 if known else 1})
    return sorted(found.values(), key=lambda one: (*_kind(one), -one.score, one.user))


def _kind(one: ScoreView) -> Kind:
    return one.protocol, one.split, one.store


def _score(job: Job, result: Mapping[str, Any], store: str) -> ScoreView | None:
    """None where its result has none, or something else in its place."""
    score = result.get("overall")
    if not isinstance(score, int | float) or not math.isfinite(score):
        return None
    return ScoreView(
        user=job.submission.user,
        score=score,
        protocol=str(result.get("protocol") or ""),
        split=str(result.get("split") or ""),
        store=store,
        job=job.id,
        name=job.submission.name,
        group=job.submission.group,
        ended=job.ended,
        jobs=1,
    )


def to_csv(scores: Iterable[ScoreView]) -> str:
    """A line a score, with `COLUMNS` as its head."""
    from vqa.evaluation.table import csv_text

    return csv_text(COLUMNS, (list(one.model_dump().values()) for one in scores))
