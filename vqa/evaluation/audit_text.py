"""Audits and baselines as text: a table for a terminal, and short statements for the report page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vqa.evaluation.comparison import p_text
from vqa.evaluation.paired import says
from vqa.evaluation.table import columns

CORRECTED = "p is Holm's over the rows of this table; the intervals are of each row alone"


def rules_text(fields: Mapping[str, Any]) -> str:
    """The rules of an evaluation, what its figure has to be read against, and its notes."""
    details = fields.get("details", {})
    lines = [f"{_words(name)}: {text}" for name, text in fields.get("policies", {}).items()]
    if "chance" in details:
        lines.append(
            f"chance {details['chance']:.2f}, most frequent position "
            f"{details['majority_position']['accuracy']:.2f}, most frequent answer "
            f"{details['majority_answer']['accuracy']:.2f}"
        )
        uneven = details["position_bias"]["chosen_p"]
        if uneven is not None:
            lines.append(f"errors lean towards positions: {p_text(uneven)}")
    return "\n".join([*lines, *(f"note: {note}" for note in fields.get("notes", []))])


def audit_text(audit: Mapping[str, Any]) -> str:
    """The object that `Audit.report` gives, as tables and lines."""
    rows = [("altered", "score", "loss", "same answer")]
    for name, one in audit["alterations"].items():
        kept = f"{one['same_answer']:.1f} %"
        rows.append((_words(name), f"{one['overall']:.2f}", says(one["loss"]), kept))
    lines = [*columns(rows), CORRECTED]
    lines += [f"{name}: {text}" for name, text in audit_lines(audit).items()]
    lines += [f"note: {note}" for note in audit["notes"]]
    return "\n".join([*lines, *_curve(audit["calibration"])])


def audit_lines(audit: Mapping[str, Any]) -> dict[str, str]:
    """What an audit found beside the alterations, one statement each, by name."""
    found = {}
    order, gap, sure = audit["choice_order"], audit["prior_gap"], audit["calibration"]
    if order is not None:
        found["choice order"] = (
            f"{order['given']:.2f} as given, {order['shuffled']['mean']:.2f} shuffled, "
            f"{order['rotations']:.2f} over all rotations, {order['circular']:.2f} right under "
            f"every rotation; {order['same_choice']:.1f} % always choose the same"
        )
    if gap is not None:
        span = gap.get("interval")
        bounds = f" [{span['low']:.1f}, {span['high']:.1f}]" if span else ""
        found["prior gap"] = (
            f"{gap['gap']:.2f}{bounds}: {gap['common']:.2f} where the right answer is the usual "
            f"one for its type, {gap['rare']:.2f} elsewhere"
        )
    if sure is not None:
        found["calibration"] = (
            f"expected error {sure['ece']:.2f}; mean confidence {sure['mean_confidence']:.2f}, "
            f"mean score {sure['mean_score']:.2f}"
        )
    return found


def alteration_lines(audit: Mapping[str, Any]) -> dict[str, str]:
    """Each alteration in a sentence, by name."""
    return {
        _words(name): f"scores {one['overall']:.2f}, a loss of {says(one['loss'])}; "
        f"{one['same_answer']:.1f} % of the answers stay the same"
        for name, one in audit["alterations"].items()
    }


def baseline_text(report: Mapping[str, Any]) -> str:
    """The object that `score_baselines` gives, as a table."""
    rows = [("baseline", "score", "95 % interval", "the model's gain")]
    for name, one in report["baselines"].items():
        span = one["interval"]
        bounds = f"[{span['low']:.2f}, {span['high']:.2f}]" if span else ""
        rows.append((_words(name), f"{one['overall']:.2f}", bounds, says(one["model_gain"])))
    seen = f"{report['questions_seen']:.1f} % of the question texts stand in the training split"
    return "\n".join([*columns(rows), seen])


def baseline_lines(report: Mapping[str, Any]) -> dict[str, str]:
    """Each baseline in a sentence, by name."""
    return {
        f"{_words(name)} baseline": f"scores {one['overall']:.2f}; "
        f"the model's gain is {says(one['model_gain'])}"
        for name, one in report["baselines"].items()
    }


def _curve(sure: Mapping[str, Any] | None) -> list[str]:
    """Reliability and accuracy at coverage as two tables side by side in sense, one after the
    other."""
    if sure is None:
        return []
    bins = [("confidence", "score", "questions")]
    bins += [
        (f"{one['confidence']:.1f}", f"{one['score']:.1f}", f"{one['n']:.0f}")
        for one in sure["reliability"]
    ]
    cover = [("most confident", "score")]
    cover += [(f"{one['coverage']} %", f"{one['score']:.2f}") for one in sure["coverage"]]
    return ["", *columns(bins), "", *columns(cover)]


def _words(name: str) -> str:
    return name.replace("_", " ")
