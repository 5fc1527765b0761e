"""GQA's own figures, `gqa/1`, as the evaluation script that comes with the data computes them.

- accuracy: share of balanced questions whose answer is exactly the right one (no normalisation);
- binary, open: the same over questions of structural type other than / equal to `query`;
- consistency: over correctly answered questions that entail others, the mean accuracy on those others;
- validity: share of answers that could answer the question (needs the choices file);
- plausibility: share of answers that make sense in the world (needs the choices file);
- distribution: chi-square distance of answers to right answers within the groups of `groups.global`, lower is better.

Surprising facts, kept: for a question whose detailed type has `Common` in it, the valid and the
plausible answers are `color, material, shape` whatever the choices file says; answers that are
never right in a group do not enter its distance, so a model that always says something else is at 1
per right answer, not further.

Source: Hudson and Manning 2019, GQA, section 4.4 and the published evaluation script.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from vqa.errors import ResultError
from vqa.evaluation.predictions import Prediction
from vqa.evaluation.result import mean

COMMON = ("color", "material", "shape")
IDLE_STEPS = ("exist", "query: name", "choose name")

Raw = Mapping[str, Any]


def gqa_details(
    predictions: Sequence[Prediction],
    said: Mapping[str, str | None],
    raw: Raw,
    choices: Raw | None,
) -> tuple[dict[str, Any], list[str]]:
    """GQA's figures beyond accuracy, and what was not computed and why.

    Args:
        predictions: the balanced questions with their answers.
        said: every answer given, those to unbalanced questions too.
        raw: the published record of every question by id.
        choices: the choices file, id → {"valid": [...], "plausible": [...]}; None where it was not
            given.

    Raises:
        ResultError: a record lacks what a figure needs, or the choices file lacks a question.
    """
    details: dict[str, Any] = {}
    notes: list[str] = []
    for name in ("binary", "open"):
        scores = [_correct(item) for item in predictions if item.answer_type == name]
        details[name] = _percent(scores) if scores else None
    details["consistency"], missing = _consistency(predictions, said, raw)
    if missing:
        notes.append(
            f"not computed: consistency ({missing} entailed questions lack an answer or a record)"
        )
    for name in ("valid", "plausible"):
        figure = {"valid": "validity", "plausible": "plausibility"}[name]
        details[figure] = None if choices is None else _within(predictions, raw, choices, name)
    if choices is None:
        notes.append("not computed: validity and plausibility (no choices file; give --choices)")
    details["distribution"] = _distribution(predictions, raw)
    notes.append("not computed: grounding (needs attention maps and scene graphs)")
    return details | _by_kind(predictions, raw), notes


def _correct(item: Prediction) -> float:
    return 100.0 if item.answer is not None and item.answer in item.answers else 0.0


def _consistency(
    predictions: Sequence[Prediction], said: Mapping[str, str | None], raw: Raw
) -> tuple[float | None, int]:
    shares = []
    missing: set[str] = set()
    for item in predictions:
        entailed = raw[item.question_id].get("entailed") or []
        others = [one for one in entailed if one != item.question_id]
        if not others or not _correct(item):
            continue
        unknown = {one for one in others if one not in said or one not in raw}
        missing |= unknown
        if not unknown:
            shares.append(mean([float(said[one] == raw[one]["answer"]) for one in others]))
    if missing or not shares:
        return None, len(missing)
    return _percent([100 * share for share in shares]), 0


def _within(predictions: Sequence[Prediction], raw: Raw, choices: Raw, name: str) -> float:
    return _percent([100.0 * _belongs(item, raw, choices, name) for item in predictions])


def _belongs(item: Prediction, raw: Raw, choices: Raw, name: str) -> bool:
    types = raw[item.question_id].get("types")
    if isinstance(types, dict) and "Common" in (types.get("detailed") or ""):
        return item.answer in COMMON
    entry = choices.get(item.question_id)
    if not isinstance(entry, dict) or not isinstance(entry.get(name), list):
        raise ResultError(
            f"the choices file has no {name!r} list", where=f"question {item.question_id}"
        )
    return item.answer in entry[name]


def _distribution(predictions: Sequence[Prediction], raw: Raw) -> float | None:
    """The chi-square distance averaged over groups by their size, over 100 as published."""
    right: defaultdict[str, Counter[str]] = defaultdict(Counter)
    said: defaultdict[str, Counter[str | None]] = defaultdict(Counter)
    for item in predictions:
        group = (raw[item.question_id].get("groups") or {}).get("global")
        if isinstance(group, str):
            right[group][item.answers[0]] += 1
            said[group][item.answer] += 1
    total = sum(sum(counts.values()) for counts in right.values())
    if not total:
        return None
    weighted = 0.0
    for group, counts in right.items():
        distance = sum(
            (said[group][answer] - count) ** 2 / count for answer, count in counts.items()
        )
        weighted += distance * sum(counts.values())
    return round(weighted / total / 100, 4)


def _by_kind(predictions: Sequence[Prediction], raw: Raw) -> dict[str, dict[str, float]]:
    groups: dict[str, defaultdict[str, list[float]]] = {
        name: defaultdict(list) for name in ("per_semantic_type", "per_words", "per_steps")
    }
    for item in predictions:
        record, score = raw[item.question_id], _correct(item)
        types = record.get("types")
        if isinstance(types, dict) and isinstance(types.get("semantic"), str):
            groups["per_semantic_type"][types["semantic"]].append(score)
        groups["per_words"][f"{len(item.question.split()):02d}"].append(score)
        if isinstance(record.get("semantic"), list):
            groups["per_steps"][f"{_steps(record['semantic']):02d}"].append(score)
    return {
        kind: {name: _percent(found[name]) for name in sorted(found)}
        for kind, found in groups.items()
    }


def _steps(semantic: list[Any]) -> int:
    """The reasoning steps of a question, without those that only look at the result."""
    texts = [
        f"{step.get('operation')}: {step.get('argument')}"
        for step in semantic
        if isinstance(step, dict)
    ]
    return sum(not any(idle in text for idle in IDLE_STEPS) for text in texts)


def _percent(scores: Sequence[float]) -> float:
    return round(mean(scores), 4)
