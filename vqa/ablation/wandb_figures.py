"""The comparison of a group as a W&B run of that group: table of figures, chart with intervals, sentences."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from vqa.ablation.study import Study
from vqa.ablation.wandb_report import CHART, COMPARISON, FIGURES, Address

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

UPLOAD_SECONDS = 60.0
COLUMNS = (
    "variant",
    "baseline",
    "score",
    "sd",
    "low",
    "high",
    "seeds",
    "parameters",
    "questions_per_second",
    "seconds_to_best",
    "peak_memory_mb",
)


def log_comparison(
    study: Study, address: Address, folder: Path, mode: Literal["online", "offline"] = "online"
) -> str | None:
    """Log the run, or log it anew: a group has one.

    Args:
        folder: for W&B's own files.

    Returns:
        Where W&B shows it; None offline.
    """
    import wandb

    from vqa.tracking.sender import quiet_settings

    run = wandb.init(
        id=comparison_id(address),
        resume="allow",
        project=address.project,
        entity=address.entity or None,
        group=address.group,
        job_type=COMPARISON,
        name=f"{COMPARISON} of {address.group}",
        config={"reference": study.reference, "axes": study.axes, **study.comparison.identity},
        mode=mode,
        settings=quiet_settings(folder, UPLOAD_SECONDS),
    )
    table = wandb.Table(columns=list(COLUMNS), data=figures(study), allow_mixed_types=True)
    run.log({FIGURES: table, CHART: wandb.Plotly(chart(study))})
    claims = [*study.claims, *study.effect_claims]
    run.summary.update({f"{COMPARISON}/claims": "\n".join(claims)})
    url = run.url
    run.finish()
    return url if mode == "online" else None


def comparison_id(address: Address) -> str:
    """The run's id, the same for the same group."""
    return f"{COMPARISON}-{hashlib.sha256(address.group.encode()).hexdigest()[:12]}"


def figures(study: Study) -> list[list[Any]]:
    """A row a variant, with the columns of `COLUMNS`."""
    return [
        [
            row.name,
            row.baseline,
            row.mean,
            row.sd,
            row.low,
            row.high,
            len(row.seeds),
            row.parameters,
            row.questions_per_second,
            row.seconds_to_best,
            row.peak_memory_mb,
        ]
        for row in study.rows
    ]


def chart(study: Study) -> Figure:
    """Bars of the variants' scores, 0 to 100, with their 95 % intervals."""
    from plotly import graph_objects as go

    rows = study.rows[::-1]  # plotly draws from the bottom
    bars = go.Bar(
        y=[row.name for row in rows],
        x=[row.mean for row in rows],
        orientation="h",
        error_x={
            "type": "data",
            "symmetric": False,
            "array": [row.high - row.mean for row in rows],
            "arrayminus": [row.mean - row.low for row in rows],
        },
    )
    layout = {"title": "accuracy with 95 % intervals", "xaxis": {"range": [0, 100]}}
    return go.Figure(bars, layout=layout)
