"""Trackers beside W&B: named in one line, fed from the journal, and never needed."""

from __future__ import annotations

import json
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import vqa.tracking.mirrors as mirroring
from vqa.config import parse_experiment
from vqa.errors import ConfigError
from vqa.tracking.feeder import Feeder
from vqa.tracking.identity import identity
from vqa.tracking.journal import Journal, read_journal
from vqa.tracking.mirrors import open_mirrors
from vqa.tracking.trackers import MLflow, TensorBoard, Trackio, check_loggers
from vqa.training.run import train

STAND_IN = """
import json, os, time
BEHAVIOUR, FILE = os.environ["STAND_IN_DOES"], os.environ["STAND_IN_FILE"]
if BEHAVIOUR == "import": raise ImportError("half installed")
def note(**what):
    with open(FILE, "a") as file: file.write(json.dumps(what) + "\\n")
class Run:
    name = "run"
    def log(self, metrics, step=None):
        if BEHAVIOUR == "log": raise RuntimeError("broken inside")
        if BEHAVIOUR == "die": os._exit(3)
        if BEHAVIOUR == "hang": time.sleep(600)
        note(log=metrics, step=step)
    def finish(self): note(finish=True)
def init(**words):
    note(init=words)
    return Run()
"""


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine under load is no failure."""
    monkeypatch.setattr(mirroring, "CLOSE_SECONDS", 130.0)


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """Puts a stand-in for trackio in the way of every process; called again it tells what was noted."""
    folder = tmp_path / "stand-in"
    file = folder / "notes.jsonl"

    def call(does: str | None = None) -> list[dict[str, Any]]:
        if does is not None:
            folder.mkdir()
            (folder / "trackio.py").write_text(STAND_IN)
            monkeypatch.setenv("PYTHONPATH", str(folder))
            monkeypatch.setenv("STAND_IN_FILE", str(file))
            monkeypatch.setenv("STAND_IN_DOES", does)
            monkeypatch.syspath_prepend(folder)
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    yield call
    sys.modules.pop("trackio", None)


def need(package: str) -> None:
    if find_spec(package) is None:
        pytest.skip(f"{package} is not installed")


def parsed(loggers: Any) -> tuple[Any, ...]:
    return parse_experiment(
        {"data": {"store": "s"}, "tracking": {"loggers": loggers}}
    ).tracking.loggers


def complaints(capfd: pytest.CaptureFixture[str]) -> list[str]:
    return [line for line in capfd.readouterr().err.splitlines() if line.startswith("vqa: ")]


def live(experiment: Any, run: Path, loggers: Any, steps: range, status: str = "") -> None:
    """One life of a run: a journal, what is fed from it, and its end."""
    run.mkdir(exist_ok=True)
    tracking = {"loggers": loggers, "project": "questions", "group": "g", "tags": ["variant=a"]}
    mirrors = open_mirrors(experiment(tracking=tracking), run, enabled=True)
    journal = Journal(run / "metrics.jsonl")
    for step in steps:
        mirrors.log(journal.log(step, 0, {"train/loss": 1 / step, "val/accuracy": 10.0 * step}))
    journal.close()
    if status:
        mirrors.finish({"status": status, "overall": 50.0, "interval": {"low": 40.0}, "split": "t"})
    mirrors.close()


def losses(run: Path) -> list[tuple[int, float]]:
    """Of the journal, a repeated step as it was the last time."""
    records = {
        record["step"]: record["train/loss"] for record in read_journal(run / "metrics.jsonl")
    }
    return list(records.items())


def test_a_name_or_a_list_of_names_is_enough() -> None:
    assert parsed("tensorboard") == (TensorBoard(),)
    assert parsed(["tensorboard", {"name": "mlflow"}, "trackio"]) == (
        TensorBoard(),
        MLflow(),
        Trackio(),
    )
    assert parsed([]) == ()


@pytest.mark.parametrize(
    ("loggers", "said"),
    [
        ("tensorbord", "did you mean 'tensorboard'"),
        (["mlflow", "mlflow"], "stands twice"),
        ([{"name": "mlflow", "tracking_uri": "http://elsewhere"}], "no such key"),
        ([{"name": "tensorboard", "save_dir": "/etc"}], "no such key"),
        (3, "tracking.loggers"),
    ],
)
def test_what_names_no_tracker_or_where_it_writes_is_refused(loggers, said) -> None:
    with pytest.raises(ConfigError, match=said):
        parsed(loggers)


def test_a_missing_package_is_refused_with_what_to_install(
    experiment, tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr("vqa.tracking.trackers.find_spec", lambda _: None)
    with pytest.raises(ConfigError, match=r"MLflow is not installed.*vqa-service\[mlflow\]"):
        check_loggers([MLflow()])
    with pytest.raises(ConfigError, match="trackio is not installed"):
        train(experiment(tracking={"loggers": ["trackio"]}), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_trackio_is_called_like_wandb_with_the_journal(experiment, tmp_path, stand_in) -> None:
    stand_in("")
    run = tmp_path / "run"
    run.mkdir()
    made = experiment(tracking={"project": "questions", "group": "g", "tags": ["variant=a"]})
    answers: list[dict[str, Any]] = []
    setup = {**identity(made, run), "tracker": {"name": "trackio"}}
    feeder = Feeder(setup, answers.append)
    journal = Journal(run / "metrics.jsonl")
    for step in range(1, 4):
        feeder.take({"record": journal.log(step, 0, {"train/loss": 1 / step})})
    journal.close()
    feeder.take({"result": {"status": "succeeded", "overall": 50.0, "interval": {"low": 40.0}}})
    feeder.finish()
    assert answers == [{"done": {"records": 3}}]
    began, *logged, _, finished = stand_in()
    assert (
        began["init"].items() >= {"project": "questions", "group": "g", "resume": "allow"}.items()
    )
    assert began["init"]["name"] == f"a s0 {(run / 'wandb_id').read_text().strip()}"
    assert began["init"]["config"]["data"]["batch_size"] == 32
    for note, record in zip(logged, read_journal(run / "metrics.jsonl"), strict=True):
        figures = {name: value for name, value in record.items() if name not in ("step", "time")}
        assert note == {"log": figures, "step": record["step"]}
    assert stand_in()[-2] == {
        "log": {"result/overall": 50.0, "result/interval/low": 40.0},
        "step": 3,
    }
    assert finished == {"finish": True}


@pytest.mark.parametrize("does", ["import", "die"])
def test_whatever_breaks_inside_a_tracker_costs_one_line(
    does, experiment, tmp_path, stand_in, capfd
) -> None:
    stand_in(does)
    live(experiment, tmp_path / "run", "trackio", range(1, 50), "succeeded")
    (line,) = complaints(capfd)
    assert "trackio" in line


def test_a_tracker_that_hangs_is_left(experiment, tmp_path, stand_in, monkeypatch, capfd) -> None:
    stand_in("hang")
    monkeypatch.setattr(mirroring, "CLOSE_SECONDS", 2.0)
    live(experiment, tmp_path / "run", "trackio", range(1, 40_000), "succeeded")
    (line,) = complaints(capfd)
    assert "trackio was not done after 2 s" in line


def test_a_run_succeeds_though_its_tracker_breaks(experiment, tmp_path, stand_in, capfd) -> None:
    stand_in("log")
    result = train(experiment(tracking={"loggers": ["trackio"]}), tmp_path / "run")
    assert result.status == "succeeded"
    (line,) = (one for one in complaints(capfd) if "trackio" in one)
    assert "trackio failed (RuntimeError: broken inside); the run goes on without it" in line


def test_tensorboard_shows_the_journal_of_all_lives(experiment, tmp_path, capfd) -> None:
    need("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = tmp_path / "run"
    live(experiment, run, "tensorboard", range(1, 6))
    live(experiment, run, ["tensorboard"], range(4, 9), "succeeded")  # back to the last checkpoint
    assert complaints(capfd) == []
    events = EventAccumulator(str(run / "tensorboard"))
    events.Reload()
    shown = [(one.step, one.value) for one in events.Scalars("train/loss")]
    assert shown == [(step, pytest.approx(loss)) for step, loss in losses(run)]
    assert [(one.step, one.value) for one in events.Scalars("result/overall")] == [(8, 50.0)]


def test_mlflow_goes_on_with_the_same_run(experiment, tmp_path, monkeypatch, capfd) -> None:
    need("mlflow")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    run = tmp_path / "run"
    live(experiment, run, "mlflow", range(1, 4))
    (known,) = (run / "mlflow" / "store").glob("[0-9]*/*/meta.yaml")
    assert "status: 4" in known.read_text()  # failed, as a run that was cut off
    live(experiment, run, "mlflow", range(4, 6), "succeeded")
    assert complaints(capfd) == []
    assert list((run / "mlflow" / "store").glob("[0-9]*/*/meta.yaml")) == [known]
    assert "status: 3" in known.read_text()
    lines = (known.parent / "metrics" / "train" / "loss").read_text().splitlines()
    shown = [(int(step), float(value)) for _, value, step in map(str.split, lines)]
    assert shown == [(step, pytest.approx(loss)) for step, loss in losses(run)]
    tags = {file.name: file.read_text() for file in (known.parent / "tags").iterdir()}
    assert (tags["group"], tags["variant"], tags["mlflow.runName"]) == ("g", "a", "a s0")
    assert (known.parent / "params" / "data" / "batch_size").read_text() == "32"


def test_trackio_goes_on_with_the_same_run(experiment, tmp_path, monkeypatch, capfd) -> None:
    need("trackio")
    import sqlite3

    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    run = tmp_path / "run"
    live(experiment, run, "trackio", range(1, 4))
    live(experiment, run, "trackio", range(4, 6), "succeeded")
    assert complaints(capfd) == []
    with sqlite3.connect(tmp_path / "trackio" / "questions.db") as database:
        rows = database.execute(
            "select run_name, step, metrics from metrics order by id"
        ).fetchall()
    database.close()
    assert len({name for name, _, _ in rows}) == 1
    logged = [(step, json.loads(text)) for _, step, text in rows]
    shown = [(step, metrics["train/loss"]) for step, metrics in logged if "train/loss" in metrics]
    assert shown == [(step, pytest.approx(loss)) for step, loss in losses(run)]
    assert logged[-1][1]["result/overall"] == 50.0
