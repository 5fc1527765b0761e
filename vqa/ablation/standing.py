"""What the results alone say of an ablation while its study is not there yet: means without intervals and tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from vqa.ablation.members import Member, costs, number, users_of
from vqa.ablation.sorting import Sorted, sort_members
from vqa.ablation.study import TYPE_KINDS, LeftOut
from vqa.evaluation.runs import FIELDS
from vqa.evaluation.significance import seed_summary
from vqa.tracking.tags import Place

Found = dict[str, Any]


def standing(title: str, members: Sequence[Member], places: Sequence[Place]) -> Found:
    """An object of the shape of `Study.to_json` with what `result.json` of each run says; quick.

    Without `n`, intervals (`low`, `high` are None), tests, and what none of the runs says. `apart` has what keeps its
    scores from being compared: keys of `FIELDS` in which the results differ.
    """
    found = sort_members(members, places)
    rows = [_row(name, found.places[name], runs) for name, runs in found.variants.items()]
    counted = [run for runs in found.variants.values() for run in runs]
    return {
        "title": title,
        "protocol": _common(members, "protocol"),
        "split": _common(members, "split"),
        "apart": [name for name in FIELDS if len(_said(counted, name)) > 1],
        "n": None,
        "images": None,
        "users": users_of(members),
        "reference": "",
        "variants": [row for row in rows if row is not None],
        "comparisons": [],
        "main_effects": [],
        "interactions": [],
        "left_out": _left_out(found),
        "notes": found.notes,
    }


def left_out_now(members: Sequence[Member], places: Sequence[Place]) -> list[Found]:
    """Runs that did not succeed, with the reason."""
    return _left_out(sort_members(members, places))


def _left_out(found: Sorted) -> list[Found]:
    return [asdict(LeftOut.of(place.variant, one, reason)) for place, one, reason in found.left_out]


def _row(name: str, place: Place, members: Sequence[Member]) -> Found | None:
    scored = [
        (one, score) for one in members if (score := number(one.result, "overall")) is not None
    ]
    if not scored:
        return None
    runs, scores = [one for one, _ in scored], [score for _, score in scored]
    figures = seed_summary(scores)
    return {
        "name": name,
        "labels": dict(place.labels),
        "baseline": place.baseline,
        "seeds": [one.seed for one in runs],
        "runs": [str(one.path) for one in runs],
        "mean": figures["mean"],
        "sd": figures["sd"],
        "low": None,
        "high": None,
        "scores": scores,
        "users": [one.user for one in runs],
        **{kind: _by_type(runs, kind) for kind in TYPE_KINDS},
        **costs(runs),
    }


def _by_type(members: Sequence[Member], kind: str) -> dict[str, float]:
    """Means over the runs that say them."""
    sections = [one.result.get(kind) for one in members]
    known = [section for section in sections if isinstance(section, Mapping)]
    names = dict.fromkeys(str(name) for section in known for name in section)
    found = {name: [v for one in known if (v := number(one, name)) is not None] for name in names}
    return {name: sum(values) / len(values) for name, values in found.items() if values}


def _common(members: Sequence[Member], name: str) -> str | None:
    """What all runs that say it say."""
    said = _said(members, name)
    return said.pop() if len(said) == 1 else None


def _said(members: Sequence[Member], name: str) -> set[str]:
    return {str(one.result[name]) for one in members if isinstance(one.result.get(name), str)}
