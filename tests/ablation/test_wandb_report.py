"""A study as W&B shows it: the report's and the view's spec, and the comparison's run, all without a network."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.ablation.runs import make_folder, study_of
from vqa.ablation.study import Study
from vqa.ablation.wandb_figures import chart, comparison_id, figures
from vqa.ablation.wandb_report import Address, make_report, make_workspace, spec
from vqa.tracking.curve_names import CURVES

pytestmark = pytest.mark.filterwarnings("ignore::pydantic.PydanticDeprecatedSince20")
"""Inside wandb-workspaces."""

ADDRESS = Address("team", "questions", "fusions")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    axes = {"model.fusion": ["concat", "multiply"]}
    rates = {"concat": 0.4, "multiply": 0.7}
    folder = tmp_path_factory.mktemp("runs")
    return study_of(make_folder(folder, lambda labels: rates[labels["model.fusion"]], axes=axes))


def spec_of(study: Study, address: Address = ADDRESS) -> dict[str, Any]:
    pytest.importorskip("wandb_workspaces", reason="wandb-workspaces is not installed")
    return spec(make_report(study, address), make_workspace(study, address))


def panels(block: dict[str, Any]) -> list[dict[str, Any]]:
    return list(block["metadata"]["panelBankSectionConfig"]["panels"])


def grids(made: dict[str, Any]) -> list[dict[str, Any]]:
    return [block for block in made["report"]["spec"]["blocks"] if block["type"] == "panel-grid"]


def test_a_report_says_what_the_study_says(study) -> None:
    made = spec_of(study)["report"]
    assert (made["project"]["entityName"], made["project"]["name"]) == ("team", "questions")
    text = json.dumps(made, ensure_ascii=False)
    for claim in [*study.claims, *study.effect_claims]:
        assert claim in text
    (figures_shown,) = [
        b["content"] for b in made["spec"]["blocks"] if b["type"] == "markdown-block"
    ]
    for row in study.rows:
        assert f"| {row.name} | {row.mean:.2f}" in figures_shown
        assert f"{row.low:.2f} … {row.high:.2f}" in figures_shown


def test_curves_are_those_of_the_group_by_variant(study) -> None:
    comparison, curves, predictions = grids(spec_of(study))
    for grid, job_type in ((comparison, "="), (curves, "!="), (predictions, "!=")):
        (runs,) = grid["metadata"]["runSets"]
        group, kind = runs["filters"]["filters"]
        assert (group["key"]["name"], group["op"], group["value"]) == ("group", "=", "fusions")
        assert (kind["key"]["name"], kind["op"], kind["value"]) == (
            "jobType",
            job_type,
            "comparison",
        )
        assert runs.get("project") is None  # the report's own; looking one up would need a network
    (runs,) = curves["metadata"]["runSets"]
    assert runs["grouping"] == [{"section": "run", "name": "jobType"}]
    bars, *lines = panels(curves)
    assert bars["viewType"] == "Bar Chart"
    assert bars["config"]["metrics"] == ["summary_metrics.result/overall"]
    assert (bars["config"]["groupBy"], bars["config"]["groupArea"]) == ("jobType", "stderr")
    names = [one["config"].get("metricRegex") or one["config"]["metrics"][0] for one in lines]
    wanted = [curve for curve in CURVES if curve.shown]
    assert names == [curve.pattern if "*" in curve.name else curve.name for curve in wanted]
    for one in lines:
        assert (one["config"]["xAxis"], one["config"]["groupBy"]) == ("step", "jobType")
        assert (one["config"]["groupAgg"], one["config"]["groupArea"]) == ("mean", "minmax")
    assert '"predictions"' in json.dumps(panels(predictions))
    assert panels(comparison)[0]["config"]["mediaKeys"] == ["comparison/accuracy"]
    assert '"comparison/variants"' in json.dumps(panels(comparison)[1])


def test_a_view_of_the_project_shows_the_same_group(study) -> None:
    made = spec_of(study)["workspace"]
    assert (made["entity"], made["project"]) == ("team", "questions")
    section = made["spec"]["section"]
    (runs,) = section["runSets"]
    assert runs["filters"]["filters"][0]["value"] == "fusions"
    assert runs["grouping"] == [{"section": "run", "name": "jobType"}]
    assert "summary:result/interval/low" in runs["runFeed"]["columnOrder"]
    names = [one["name"] for one in section["panelBankConfig"]["sections"]]
    assert names == ["Accuracy", "Training", "Predictions"]


def test_runs_of_no_ablation_stand_alone(study) -> None:
    made = spec_of(study, Address("", "p", "g", by_variant=False))
    _, curves, _ = grids(made)
    assert curves["metadata"]["runSets"][0]["grouping"] == []
    assert all("groupBy" not in panel["config"] for panel in panels(curves))


@pytest.mark.parametrize(
    "group", ["a b'c", 'a"b', "a\\b", "a = b", "x and Metric('State')", "ü 🙂"]
)
def test_a_group_is_itself_whatever_it_is_called(group, study) -> None:
    made = spec_of(study, Address("e", "p", group))
    for grid in grids(made):
        found = grid["metadata"]["runSets"][0]["filters"]["filters"]
        assert (len(found), found[0]["value"]) == (2, group)
    found = made["workspace"]["spec"]["section"]["runSets"][0]["filters"]["filters"]
    assert (len(found), found[0]["value"]) == (2, group)


def test_the_chart_has_the_studys_intervals(study) -> None:
    (bars,) = chart(study).data
    for at, row in enumerate(study.rows[::-1]):
        assert (bars.y[at], bars.x[at]) == (row.name, row.mean)
        assert bars.x[at] + bars.error_x.array[at] == pytest.approx(row.high)
        assert bars.x[at] - bars.error_x.arrayminus[at] == pytest.approx(row.low)


LOG = """
import sys
from pathlib import Path
from tests.ablation.runs import study_of
from vqa.ablation.wandb_figures import log_comparison
from vqa.ablation.wandb_report import Address
runs, folder = map(Path, sys.argv[1:])
log_comparison(study_of(runs), Address("", "questions", "fusions"), folder, mode="offline")
"""


def test_the_comparison_is_a_run_of_the_group(study, tmp_path) -> None:
    """In a process of its own: W&B leaves threads and sockets behind."""
    runs = Path(study.rows[0].runs[0]).parent
    root = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-c", LOG, str(runs), str(tmp_path)]
    subprocess.run(command, check=True, cwd=root, stdin=subprocess.DEVNULL)
    (file,) = tmp_path.glob("wandb/offline-run-*/run-*.wandb")
    inspect = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(file)]
    done = subprocess.run(inspect, capture_output=True, text=True, check=True)
    records = [json.loads(line) for line in done.stdout.splitlines()]
    (run,) = [record["run"] for record in records if record["type"] == "run"]
    assert (run["run_group"], run["job_type"]) == ("fusions", "comparison")
    assert run["run_id"] == comparison_id(Address("x", "questions", "fusions"))
    summary: dict[str, Any] = {}
    for record in records:
        summary |= record.get("summary", {}).get("update", {})
    assert summary["comparison/claims"].splitlines() == [*study.claims, *study.effect_claims]
    (table,) = file.parent.glob("files/media/table/comparison/variants_*.table.json")
    rows = json.loads(table.read_text())["data"]
    assert [row[0] for row in rows] == [row.name for row in study.rows]
    assert rows[0][2:6] == pytest.approx(figures(study)[0][2:6])
    assert list(file.parent.glob("files/media/plotly/comparison/accuracy_*.plotly.json"))


def test_a_group_has_one_comparison() -> None:
    assert comparison_id(ADDRESS) == comparison_id(Address("other", "p", "fusions"))
    assert comparison_id(ADDRESS) != comparison_id(Address("team", "questions", "heads"))
