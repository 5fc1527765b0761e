"""A study as a report and a workspace view of W&B, through `wandb-workspaces`; nothing here needs a network.

Runs are those of one group; a variant is a job type (`vqa.tracking.identity`), so curves show its seeds as a
band. W&B's own bars show the spread over seeds; the study's intervals, which are over images too, are in the chart and
the table of the comparison's run (`vqa.ablation.wandb_figures`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vqa.ablation.study import Study
from vqa.ablation.tables import heading, left_out, markdown_tables, remarks
from vqa.errors import ConfigError
from vqa.formatting import one_line
from vqa.tracking.curve_names import CURVES, Curve

if TYPE_CHECKING:
    from wandb_workspaces.reports.v2 import PanelGrid, Report, Runset
    from wandb_workspaces.workspaces import Section, Workspace

COMPARISON = "comparison"
"""Job type of the run that holds the comparison, and the first part of the names of what is in it."""
CHART, FIGURES = f"{COMPARISON}/accuracy", f"{COMPARISON}/variants"
SCORE = "result/overall"
COLUMNS = [f"summary:result/{name}" for name in ("overall", "interval/low", "interval/high", "n")]
LONGEST_TITLE, MOST_RUNS = 128, 100


@dataclass(frozen=True)
class Address:
    """Which runs of W&B a report is about.

    Attributes:
        entity: user or team; "" for the key's own.
        by_variant: whether job types are variants; else every run stands alone.
    """

    entity: str
    project: str
    group: str
    by_variant: bool = True


def check_installed() -> None:
    """Refuse to make a report without the package that does.

    Raises:
        ConfigError: it is missing.
    """
    from importlib.util import find_spec

    if find_spec("wandb_workspaces") is None:
        raise ConfigError(
            "wandb-workspaces, which makes W&B's reports, is not installed",
            where="vqa report",
            fix="pip install 'vqa-service[report]'",
        )


def make_report(study: Study, address: Address) -> Report:
    """The report: what was found, the figures, curves by variant, runs, and their predictions joined."""
    import wandb_workspaces.reports.v2 as wr

    runs = _runset(address, comparison=False)
    said = [*study.claims, *study.effect_claims]
    notes = [*(f"left out: {line}" for line in left_out(study)), *remarks(study)]
    blocks: list[Any] = [
        wr.P(one_line(heading(study))),
        wr.H2("What was found"),
        wr.UnorderedList(items=[one_line(line) for line in said]),
        wr.H2("Figures"),
        wr.MarkdownBlock(text="\n".join(markdown_tables(study))),
        wr.UnorderedList(items=[one_line(line) for line in notes]),
        wr.H2("Accuracy"),
        _grid([_runset(address, comparison=True)], [_intervals(), _comparison_table()]),
        wr.H2("Curves by variant"),
        _grid([runs], [_bars(address), *(_plot(curve, address) for curve in _shown())]),
        wr.H2("Predictions, joined by question_id"),
        wr.P("In the table's settings: Merge tables by, Joining, question_id."),
        _grid([runs], [wr.WeavePanelSummaryTable(table_name="predictions")]),
    ]
    return wr.Report(
        entity=address.entity,
        project=address.project,
        title=one_line(study.title)[:LONGEST_TITLE],
        description=one_line(heading(study)),
        blocks=[block for block in blocks if getattr(block, "items", True)],
        width="fluid",
    )


def make_workspace(study: Study, address: Address) -> Workspace:
    """The same group as a view of the project, for those who go on looking."""
    import wandb_workspaces.reports.v2 as wr
    import wandb_workspaces.workspaces as ws
    from wandb_workspaces import expr

    main, diagnostics = _shown()[:2], _shown()[2:]
    sections = [
        _section("Accuracy", [_bars(address), *(_plot(curve, address) for curve in main)]),
        _section("Training", [_plot(curve, address) for curve in diagnostics]),
        _section("Predictions", [wr.WeavePanelSummaryTable(table_name="predictions")]),
    ]
    return ws.Workspace(
        entity=address.entity,
        project=address.project,
        name="".join(mark for mark in one_line(study.title) if ord(mark) < 0x2190)[:LONGEST_TITLE],
        sections=sections,
        settings=ws.WorkspaceSettings(x_axis="step", max_runs=MOST_RUNS),
        runset_settings=ws.RunsetSettings(
            filters=_filter(address, comparison=False),
            groupby=[expr.Metric("JobType")] if address.by_variant else [],
            pinned_columns=COLUMNS,
        ),
    )


def spec(report: Report, workspace: Workspace) -> dict[str, Any]:
    """What would be sent, as JSON-ready objects."""
    models = {"report": report._to_model(), "workspace": workspace._to_model()}
    return {
        name: model.model_dump(mode="json", by_alias=True, exclude_none=True)
        for name, model in models.items()
    }


def _shown() -> list[Curve]:
    return [curve for curve in CURVES if curve.shown]


def _grouping(address: Address) -> dict[str, str]:
    """Of a panel: one mean a variant."""
    return {"groupby": "JobType", "groupby_aggfunc": "mean"} if address.by_variant else {}


def _plot(curve: Curve, address: Address) -> Any:
    """A curve over steps, with the range of each variant's seeds."""
    import wandb_workspaces.reports.v2 as wr

    several = curve.pattern if "*" in curve.name else None
    band: dict[str, Any] = {"groupby_rangefunc": "minmax"} if address.by_variant else {}
    return wr.LinePlot(
        title=f"{curve.name}: {curve.meaning}",
        x="step",
        y=[] if several else [curve.name],
        metric_regex=several,
        max_runs_to_show=MOST_RUNS,
        **_grouping(address),
        **band,
    )


def _bars(address: Address) -> Any:
    """Every variant's mean score with the standard error over its seeds."""
    import wandb_workspaces.reports.v2 as wr

    band: dict[str, Any] = {"groupby_rangefunc": "stderr"} if address.by_variant else {}
    return wr.BarPlot(
        title="accuracy, 0 to 100 (mean and standard error over seeds)",
        metrics=[wr.SummaryMetric(SCORE)],
        max_runs_to_show=MOST_RUNS,
        max_bars_to_show=MOST_RUNS,
        **_grouping(address),
        **band,
    )


def _intervals() -> Any:
    import wandb_workspaces.reports.v2 as wr

    layout = wr.Layout(w=12, h=10)
    title = "accuracy with 95 % intervals over images and seeds"
    return wr.MediaBrowser(title=title, media_keys=[CHART], num_columns=1, layout=layout)


def _comparison_table() -> Any:
    import wandb_workspaces.reports.v2 as wr

    return wr.WeavePanelSummaryTable(table_name=FIGURES, layout=wr.Layout(w=12, h=10))


def _grid(runsets: Sequence[Runset], panels: Sequence[Any]) -> PanelGrid:
    import wandb_workspaces.reports.v2 as wr

    return wr.PanelGrid(runsets=list(runsets), panels=list(panels))


def _section(name: str, panels: Sequence[Any]) -> Section:
    import wandb_workspaces.workspaces as ws

    return ws.Section(name=name, panels=list(panels), is_open=True)


def _runset(address: Address, *, comparison: bool) -> Runset:
    """The group's runs, a variant together; or the comparison's run alone."""
    import wandb_workspaces.reports.v2 as wr

    return wr.Runset(
        name=COMPARISON if comparison else one_line(address.group),
        filters=_filter(address, comparison=comparison),
        groupby=["JobType"] if address.by_variant and not comparison else [],
        pinned_columns=[] if comparison else COLUMNS,
    )


def _filter(address: Address, *, comparison: bool) -> str:
    """The group's runs as wandb-workspaces reads a filter."""
    sign = "==" if comparison else "!="
    return (
        f'Metric("Group") == {_literal(address.group)} and Metric("JobType") {sign} "{COMPARISON}"'
    )


def _literal(text: str) -> str:
    """A string in that language, whose own way of quoting takes some texts for operators."""
    return '"' + "".join(m if m.isalnum() else f"\\U{ord(m):08x}" for m in text) + '"'
