"""The best score of each user: a table for who gives marks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import cache

from vqa.jobs.home import Home
from vqa.jobs.progress import overall_of, read_result
from vqa.jobs.queue import Queue
from vqa.jobs.record import Filter, Job, State
from vqa.jobs.views import ScoreView

COLUMNS = tuple(ScoreView.model_fields)
Kind = tuple[str, str, str, str]
"""Scores of one kind can be held against each other: protocol, split, store, and the data that it had."""


def best_scores(
    home: Home, queue: Queue, wanted: Filter, store_name: Callable[[str], str]
) -> list[ScoreView]:
    """Of each user the best score of each kind, the highest first; kinds stand apart.

    Args:
        wanted: chooses jobs; of these, those that have succeeded count.
        store_name: what to call the store at a path.
    """
    found: dict[tuple[Kind, str], ScoreView] = {}
    store_name = cache(store_name)  # it looks into folders
    for job in queue.each(replace(wanted, states=(State.SUCCEEDED,))):
        one = _score(home, job, store_name)
        if one is not None:
            key = _kind(one), one.user
            known = found.get(key)
            best = one if known is None or one.score >= known.score else known
            found[key] = best.model_copy(update={"jobs": known.jobs + 1 if known else 1})
    return sorted(found.values(), key=lambda one: (*_kind(one), -one.score, one.user))


def _kind(one: ScoreView) -> Kind:
    return one.protocol, one.split, one.store, one.data_fingerprint


def _score(home: Home, job: Job, store_name: Callable[[str], str]) -> ScoreView | None:
    """None where its result has none, or something else in its place."""
    result = read_result(home.run_dir(job.id))
    score = overall_of(result)
    if score is None:
        return None
    return ScoreView(
        user=job.submission.user,
        score=score,
        protocol=str(result.get("protocol") or ""),
        split=str(result.get("split") or ""),
        store=store_name(str(job.submission.experiment["data"]["store"])),
        job=job.id,
        name=job.submission.name,
        group=job.submission.group,
        ended=job.ended,
        jobs=1,
        data_fingerprint=str(result.get("data_fingerprint") or ""),
    )


def to_csv(scores: Iterable[ScoreView]) -> str:
    """A line a score, with `COLUMNS` as its head."""
    from vqa.evaluation.table import csv_text

    return csv_text(COLUMNS, (list(one.model_dump().values()) for one in scores))
