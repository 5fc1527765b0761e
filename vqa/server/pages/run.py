"""The page of one run: how it goes, what it learnt, what it says, and how it was set up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any
from urllib.parse import urlencode

import yaml
from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import HTMLResponse

from vqa.config import Experiment, parse_experiment
from vqa.deviations import deviations
from vqa.errors import ConfigError, JobError
from vqa.jobs.logs import RECORDS
from vqa.jobs.record import TERMINAL
from vqa.jobs.views import Chunk, JobDetail
from vqa.server.api.dependencies import Looked, OpenPages
from vqa.server.pages.run_charts import Chart, Figure, bars, charts_of, find_chart, table
from vqa.server.watched import Watched

LOG_BYTES = 32_768
"""Of a log, what the page holds before its script follows on."""
KINDS = {"per_question_type": "Question type", "per_answer_type": "Answer type"}

router = APIRouter(include_in_schema=False)
ChartKey = Annotated[str, Path(max_length=40)]
ChartName = Annotated[str, Query(max_length=10_000)]


@router.get("/jobs/{job}")
def run(request: Request, watched: Looked, made: OpenPages) -> HTMLResponse:
    """The page. Of a long journal it has only the names, which takes milliseconds; its charts come by themselves."""
    detail = watched.service.show(watched.job)
    return made.page(
        request,
        "run.html.j2",
        **_head(watched, detail),
        **_charts(detail, watched.names()),
        skipped=0,
        **_config(detail),
        **_log(watched, detail),
    )


@router.get("/jobs/{job}/head")
def head(request: Request, watched: Looked, made: OpenPages) -> HTMLResponse:
    """How it goes now."""
    detail = watched.service.show(watched.job)
    return made.page(request, "run_head.html.j2", **_head(watched, detail))


@router.get("/jobs/{job}/charts")
def charts(request: Request, watched: Looked, made: OpenPages) -> HTMLResponse:
    """The places of the charts that its journal has by now, and its figures by type once there are some."""
    detail, curves = watched.service.show(watched.job), watched.curves()
    values = _head(watched, detail) | _charts(detail, list(curves.by_name))
    return made.page(request, "run_charts.html.j2", skipped=curves.skipped, **values)


@router.get("/jobs/{job}/charts/{key}")
def chart(watched: Looked, key: ChartKey, name: ChartName = "") -> Figure:
    """One chart, for plotly."""
    if key in KINDS:
        result = watched.service.result(watched.job)
        return bars(_rows(result, key), _chance(result))
    curves = watched.curves()
    found = _found(find_chart(key, name, curves))
    return found.draw(found, curves)


@router.get("/jobs/{job}/charts/{key}/table")
def chart_table(
    request: Request, watched: Looked, made: OpenPages, key: ChartKey, name: ChartName = ""
) -> HTMLResponse:
    """Its figures."""
    curves = watched.curves()
    found = _found(find_chart(key, name, curves))
    rows = table(found, curves)
    return made.page(request, "run_table.html.j2", chart=found, rows=rows)


def _found(chart: Chart | None) -> Chart:
    if chart is None:
        raise JobError("the run's journal has no such figures", kind="not-found")
    return chart


def _head(watched: Watched, detail: JobDetail) -> dict[str, Any]:
    result = detail.result or {}
    return {
        "detail": detail,
        "job": detail.job,
        "result": result,
        "exported": (watched.run_dir / "model" / "model.json").is_file(),
        "splits": list(watched.service.predictions(watched.job)),
        "ended": detail.job.state in TERMINAL,
        "interval": _mapping(result.get("interval")),
        "training": _mapping(result.get("training")),
        "counts": _mapping(result.get("counts")),
    }


def _charts(detail: JobDetail, names: list[str]) -> dict[str, Any]:
    result = detail.result or {}
    types = [(key, title, rows) for key, title in KINDS.items() if (rows := _rows(result, key))]
    places = [(one, _address(one)) for one in charts_of(names)]
    every = _mapping(detail.experiment.get("trainer")).get("log_every_n_steps", "some")
    return {"charts": places, "types": types, "every": every}


def _address(chart: Chart) -> str:
    """What follows the chart's key in its address."""
    return f"?{urlencode({'name': chart.names[0]})}" if chart.key == "other" else ""


def _rows(result: Mapping[str, Any], kind: str) -> list[dict[str, Any]]:
    """The scores by type of a result, highest first."""
    counts = _mapping(result.get(f"n_{kind}"))
    intervals = _mapping(_mapping(result.get("intervals")).get(kind))
    rows = [
        {
            "name": name,
            "score": score,
            "n": counts.get(name, "–"),
            "low": _mapping(intervals.get(name)).get("low"),
            "high": _mapping(intervals.get(name)).get("high"),
        }
        for name, score in _mapping(result.get(kind)).items()
    ]
    return sorted(rows, key=lambda row: -row["score"])


def _chance(result: Mapping[str, Any]) -> float | None:
    chance = _mapping(result.get("details")).get("chance")
    return chance if isinstance(chance, int | float) else None


def _config(detail: JobDetail) -> dict[str, Any]:
    """The experiment as a file, and what of it is not the default."""
    try:
        experiment = parse_experiment(detail.experiment)
    except ConfigError as error:  # of another version of this program
        text = yaml.safe_dump(detail.experiment, sort_keys=False, allow_unicode=True)
        return {"yaml": text, "deviations": [], "unread": error.what}
    return {"yaml": experiment.to_yaml(), "deviations": list(_shown(experiment)), "unread": ""}


def _shown(experiment: Experiment) -> Iterator[tuple[str, str, str]]:
    for one in deviations(experiment):
        default = "(has none)" if one.required else _flow(one.default)
        yield one.path, _flow(one.value), default


def _flow(value: Any) -> str:
    """A value as it is written behind `key=`."""
    text: str = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=10_000)
    return text.removesuffix("\n").removesuffix("\n...")


def _log(watched: Watched, detail: JobDetail) -> dict[str, Any]:
    """The names of the logs, and the end of the one that says most."""
    names = [*detail.logs, *RECORDS]
    first = next((n for n in ("rank0.log", "runner0.log", *detail.logs) if n in names), "rank0.log")
    names = names if first in names else [first, *names]
    try:
        chunk = watched.service.log(watched.job, first, -LOG_BYTES)
    except JobError:  # it was removed this moment
        chunk = Chunk(text="", offset=0)
    return {"log_names": names, "log_name": first, "log": chunk, "records_names": list(RECORDS)}


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
