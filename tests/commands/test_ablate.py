"""`vqa ablate`: dry run, submission, running it again, following, and the comparison at the end."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.ablation.runs import BASE, InstantService, fail_run, make_run
from vqa import cli
from vqa.ablation.calibrate import Calibration
from vqa.ablation.estimate import Measured, kind_of
from vqa.ablation.expand import Cell, expand
from vqa.ablation.follow import UP_AND_CLEAR, follow, running_line
from vqa.ablation.plan import Planned, look, submit
from vqa.ablation.schema import load_ablation
from vqa.config import Experiment
from vqa.errors import JobError
from vqa.jobs.home import Home
from vqa.jobs.record import Filter, State
from vqa.jobs.views import Progress
from vqa.tracking.tags import place_of

RATES = {"concat": 0.5, "multiply": 0.7}


def work(path: Path, experiment: Mapping[str, Any]) -> str:
    """A run whose accuracy is its fusion's; blind ones get 0.3."""
    place = place_of(experiment["tracking"]["tags"])
    make_run(path, experiment, RATES.get(place.labels.get("model.fusion", ""), 0.3))
    return "succeeded"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("VQA_HOME", str(tmp_path / "home"))
    return Home.here().make()


@pytest.fixture
def service(home: Home, monkeypatch: pytest.MonkeyPatch) -> InstantService:
    """Stands in for the training service; its jobs end when somebody looks."""
    made = InstantService(home, work)
    monkeypatch.setattr("vqa.commands.ablate.connect", lambda: made)
    monkeypatch.setattr("vqa.ablation.follow.PAUSE", 0.0)
    return made


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write(tmp_path)


def write(folder: Path, **fields: Any) -> Path:
    given = {
        "group": "fusions",
        "base": BASE,
        "axes": {"model.fusion": ["concat", "multiply"]},
        "seeds": 2,
    } | fields
    path = folder / "ablation.yaml"
    path.write_text(yaml.safe_dump(given))
    return path


def vqa(*words: Any) -> int:
    return cli.main([str(word) for word in words])


def test_a_dry_run_shows_the_grid_and_submits_nothing(
    file: Path, service: InstantService, capsys
) -> None:
    assert vqa("ablate", file, "--dry-run") == 0
    text = capsys.readouterr().out
    assert (
        "8 runs, 8 to submit; one after the other they take unknown (no finished run on this store"
        in text
    )
    assert re.search(r"^question-only +0 1 +2 missing +unknown$", text, re.MULTILINE)
    assert service.asked == []
    assert vqa("ablate", file, "--dry-run", "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["missing"], shown["estimated_seconds"]) == (8, None)
    assert shown["axes"] == {"model.fusion": ["concat", "multiply"]}
    assert {one["state"] for one in shown["members"]} == {"missing"}


def test_what_must_be_known_before_the_training_is_said(
    tmp_path: Path, service: InstantService, capsys
) -> None:
    file = write(tmp_path, axes={"data.store": ["a", "b"]}, baselines=[])
    assert vqa("ablate", file) == 0
    assert "vqa: note: data.store is varied: " in capsys.readouterr().err
    assert vqa("ablate", file) == 0
    assert "note:" not in capsys.readouterr().err


def test_a_dry_run_refuses_a_store_that_is_not_there(
    tmp_path: Path, home: Home, scenes_store: Path, capsys
) -> None:
    file = write(tmp_path)
    assert vqa("ablate", file, "--dry-run", f"data.store={scenes_store}") == 0
    capsys.readouterr()
    assert vqa("ablate", file, "--dry-run", f"data.store={tmp_path}/nowhere") == 2
    out, err = capsys.readouterr()
    assert "8 to submit" in out  # the grid is shown all the same
    assert f"{tmp_path}/nowhere: no prepared store here" in err


def test_runs_of_somebody_else_are_shared_or_trained_anew(
    file: Path, service: InstantService, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert vqa("ablate", file) == 0
    assert "shared" not in capsys.readouterr().err
    monkeypatch.setattr(service, "user", "ben")
    assert vqa("ablate", file) == 0
    said = capsys.readouterr().err
    assert "0 submitted" in said
    assert "runs of ada are shared, not trained twice: --group NAME has all trained" in said
    assert vqa("ablate", file, "--group", "bens") == 0
    said = capsys.readouterr().err
    assert "bens: 8 submitted" in said
    assert "shared" not in said
    assert vqa("ablate", file, "--group", "a/b") == 2
    assert "--group: should be letters" in capsys.readouterr().err


def test_it_waits_and_prints_the_comparison(file: Path, service: InstantService, capsys) -> None:
    assert vqa("ablate", file, "--wait") == 0
    out, err = capsys.readouterr()
    assert "8 submitted" in err
    assert "8 succeeded" in err
    assert re.search(r"^multiply beats concat by (19|20|21)\.\d ± \d", out, re.MULTILINE)
    assert "chance" in out
    job = service.queue.find(Filter(group="fusions"), 1)[0]
    assert job.submission.key == f"fusions/{job.submission.name}"
    assert job.submission.experiment["tracking"]["group"] == "fusions"


def test_again_it_submits_only_what_is_missing(
    tmp_path: Path, service: InstantService, capsys
) -> None:
    file = write(tmp_path)
    assert vqa("ablate", file) == 0
    assert vqa("ablate", file) == 0
    assert "0 submitted, 0 submitted again, 8 there before" in capsys.readouterr().err
    file = write(tmp_path, axes={"model.fusion": ["concat", "multiply", "sum"]})
    assert vqa("ablate", file, "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert service.asked == [8, 2]
    assert len(shown["members"]) == len(service.queue.find(limit=99)) == 10


def test_two_at_once_submit_every_cell_once(file: Path, service: InstantService) -> None:
    grid = expand(load_ablation(file))
    first, second = look(grid, service), look(grid, service)  # both look before either submits
    one, other = submit(first, service), submit(second, service)
    assert [job.id for job in one] == [job.id for job in other]
    assert len(service.queue.find(limit=99)) == 8


def test_failed_members_show_and_are_submitted_again_on_request(
    file: Path, service: InstantService, capsys
) -> None:
    def fragile(path: Path, experiment: Mapping[str, Any]) -> str:
        if experiment["seed"] == 1 and experiment["model"]["fusion"]["name"] == "concat":
            fail_run(path, experiment, "the loss became NaN")
            return "failed"
        return work(path, experiment)

    service.work = fragile
    assert vqa("ablate", file, "--wait") == 1
    out, err = capsys.readouterr()
    assert "left out, 1 runs:\n  concat, seed 1: failed: the loss became NaN" in out
    assert "vqa: concat, seed 1: failed" in err
    assert vqa("ablate", file) == 0
    assert "1 failed); --retry-failed submits the failed ones again" in capsys.readouterr().err
    assert len(service.queue.find(Filter(states=(State.FAILED,)))) == 1
    service.work = work
    assert vqa("ablate", file, "--retry-failed", "--wait", "--json") == 0
    said = capsys.readouterr()
    assert "1 submitted again" in said.err
    assert "--retry-failed" not in said.err
    assert json.loads(said.out)["left_out"] == []
    assert len(service.queue.find(limit=99)) == 8


def test_cancelled_members_stay(file: Path, service: InstantService, capsys) -> None:
    service.work = lambda *_: "cancelled"
    assert vqa("ablate", file, "--wait") == 1
    assert vqa("ablate", file, "--retry-failed") == 0
    advice = "there before (8 cancelled); `vqa resume JOB` queues a cancelled one again\n"
    assert capsys.readouterr().err.endswith(advice)


def test_the_group_can_be_compared_by_name(
    file: Path, service: InstantService, tmp_path: Path, capsys
) -> None:
    assert vqa("ablate", file, "--wait") == 0
    capsys.readouterr()
    page = ["--html", tmp_path / "page.html", "--resamples", 200]
    assert vqa("compare", "fusions", "--baseline", "multiply", *page) == 0
    assert "multiply beats concat" in capsys.readouterr().out
    assert (tmp_path / "page.html").read_text().startswith("<!doctype html>")
    assert vqa("compare", "fusion") == 2
    assert "no run, folder or group 'fusion'; did you mean 'fusions'?" in capsys.readouterr().err


def test_times_are_estimated_from_finished_runs_of_the_store(
    tmp_path: Path, service: InstantService, capsys
) -> None:
    assert vqa("ablate", write(tmp_path), "--wait") == 0
    longer = write(tmp_path, group="longer", overrides={"trainer.max_epochs": 20})
    capsys.readouterr()
    assert vqa("ablate", longer, "--dry-run", "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    # 500 questions, 20 epochs, 100 questions a second; the rest of the run took no time
    assert shown["members"][0]["estimated_seconds"] == pytest.approx(100, abs=1)
    assert shown["estimated_seconds"] == pytest.approx(800, abs=8)
    elsewhere = write(tmp_path, group="elsewhere", overrides={"data.store": "stores/other"})
    assert vqa("ablate", elsewhere, "--dry-run", "--json") == 0
    assert json.loads(capsys.readouterr().out)["estimated_seconds"] is None


def test_a_budget_of_hours_is_kept(tmp_path: Path, service: InstantService, capsys) -> None:
    assert vqa("ablate", write(tmp_path), "--wait") == 0
    costly = write(
        tmp_path, group="costly", overrides={"trainer.max_epochs": 2000}, budget={"max_hours": 1}
    )
    capsys.readouterr()
    assert vqa("ablate", costly) == 2
    assert "budget.max_hours allows 1" in capsys.readouterr().err
    assert len(service.queue.find(limit=99)) == 8


@pytest.fixture
def calibrated(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Variants that were measured: each trains 500 questions at 10 a second."""
    found: list[str] = []

    def measure(cells: Sequence[Cell], *rest: object) -> Calibration:
        found.extend(cell.variant for cell in cells)
        return Calibration([Measured(*kind_of(one.experiment), 500, 10, 0) for one in cells])

    monkeypatch.setattr("vqa.ablation.calibrate.calibrate", measure)
    return found


def test_a_budget_that_nothing_tells_of_is_measured(
    tmp_path: Path, service: InstantService, calibrated: list[str], capsys
) -> None:
    costly = {"overrides": {"trainer.max_epochs": 2000}, "budget": {"max_hours": 1}}
    assert vqa("ablate", write(tmp_path, **costly)) == 2
    assert "what is missing takes about 222.2 h" in capsys.readouterr().err
    assert len(calibrated) == 8
    assert service.asked == []
    assert vqa("ablate", write(tmp_path, **costly), "--no-calibrate") == 0
    assert "budget.max_hours cannot be checked" in capsys.readouterr().err
    assert len(calibrated) == 8


def test_times_are_measured_where_that_is_asked_for(
    tmp_path: Path, service: InstantService, calibrated: list[str], capsys
) -> None:
    file = write(tmp_path)
    assert vqa("ablate", file, "--dry-run", "--json", "--calibrate") == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["members"][0]["estimated_seconds"] == 2 * 500 / 10
    assert shown["estimated_seconds"] == 800
    assert vqa("ablate", file, "--dry-run") == 0
    assert "--calibrate measures" in capsys.readouterr().out
    assert len(calibrated) == 8


def test_only_what_no_finished_run_tells_of_is_measured(
    tmp_path: Path, service: InstantService, calibrated: list[str]
) -> None:
    assert vqa("ablate", write(tmp_path), "--wait") == 0
    axes = {"model.fusion": ["concat", "multiply", "sum"]}
    further = write(tmp_path, group="further", axes=axes, baselines=[])
    assert vqa("ablate", further, "--dry-run", "--calibrate") == 0
    assert set(calibrated) == {"sum"}
    budget = write(tmp_path, group="further", axes=axes, baselines=[], budget={"max_hours": 1})
    assert vqa("ablate", budget, "--dry-run") == 0  # other runs on the store tell well enough
    assert set(calibrated) == {"sum"}


def test_what_a_server_trains_is_not_measured_here(
    tmp_path: Path,
    service: InstantService,
    calibrated: list[str],
    capsys,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("VQA_SERVER", "https://there.example")
    assert vqa("ablate", write(tmp_path), "--dry-run", "--calibrate") == 0
    assert "cannot be measured here" in capsys.readouterr().err
    assert calibrated == []


def test_bad_files_exit_with_two_and_queue_nothing(
    tmp_path: Path, service: InstantService, capsys
) -> None:
    assert vqa("ablate", write(tmp_path, axes={"model.fusoin": ["a", "b"]})) == 2
    assert "did you mean 'fusion'?" in capsys.readouterr().err
    assert vqa("ablate", tmp_path / "none.yaml") == 2
    assert vqa("ablate", write(tmp_path), "trainer.max_epoch=3") == 2
    assert service.asked == []


def test_resources_reach_the_queue(tmp_path: Path, service: InstantService) -> None:
    assert vqa("ablate", write(tmp_path, resources={"priority": 7}), "--engine", "local") == 0
    assert {job.submission.priority for job in service.queue.find()} == {7}


def test_the_service_of_this_machine_takes_each_cell_once(
    tmp_path: Path,
    home: Home,
    experiment: Callable[..., Experiment],
    monkeypatch: pytest.MonkeyPatch,
    capsys,
) -> None:
    from vqa.jobs.local_service import LocalService

    (home.path / "settings.yaml").write_text("quotas: {min_free_mb: 0}\n")
    service = LocalService(home)
    monkeypatch.setattr("vqa.commands.ablate.connect", lambda: service)
    file = write(tmp_path, base=experiment().to_dict())
    for _ in range(2):
        assert vqa("ablate", file) == 0
    assert "8 there before (8 queued)" in capsys.readouterr().err
    assert len(service.queue.find(limit=99)) == 8
    gone = write(tmp_path, base=experiment(data={"store": str(tmp_path / "gone")}).to_dict())
    assert vqa("ablate", gone) == 2
    assert "gone: no prepared store here" in capsys.readouterr().err
    assert len(service.queue.find(limit=99)) == 8


def test_what_the_service_refuses_is_named_by_its_cell(
    file: Path, service: InstantService, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    def refuse(requests: Any) -> Any:
        raise JobError("does not fit", where="jobs.3.experiment: model.fusion", fix="less")

    monkeypatch.setattr(service, "submit_all", refuse)
    assert vqa("ablate", file) == 2
    assert "cell multiply, seed 1: model.fusion: does not fit — less" in capsys.readouterr().err


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_on_a_terminal_the_table_is_written_over(file: Path, service: InstantService) -> None:
    grid = expand(load_ablation(file))
    submit(look(grid, service), service)
    out = _Terminal()
    assert follow(grid, service, out, pause=lambda _: None).ended
    assert UP_AND_CLEAR.format(1) in out.getvalue()


def test_a_running_member_says_how_far_it_is(file: Path, service: InstantService) -> None:
    grid = expand(load_ablation(file))
    job = submit(look(grid, service), service)[0]
    progress = Progress(step=30, steps=120, loss=0.5, best=61.0, seconds_left=200)
    shown = running_line(Planned(grid.cells[0], job.model_copy(update={"progress": progress})))
    assert shown == "  concat, seed 0: step 30 of 120, loss 0.500, best 61.0, 3 min left"
    assert running_line(Planned(grid.cells[0], job)) == "  concat, seed 0: queued"


def test_real_training_from_file_to_table(
    tmp_path: Path, service: InstantService, experiment: Callable[..., Experiment], capsys
) -> None:
    from vqa.config import parse_experiment
    from vqa.training.run import train

    def really(path: Path, fields: Mapping[str, Any]) -> str:
        return train(parse_experiment(fields), path).status

    service.work = really
    base = experiment(trainer={"max_epochs": 1}).to_dict()
    file = write(tmp_path, base=base, seeds=1)
    assert vqa("ablate", file, "--wait", "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    rows = {row["name"]: row for row in shown["variants"]}
    assert set(rows) == {"concat", "multiply", "question-only", "image-only", "chance"}
    for name in ("parameters", "questions_per_second", "seconds_to_best", "peak_memory_mb"):
        assert rows["concat"][name] > 0
    assert rows["question-only"]["parameters"] < rows["concat"]["parameters"]
    assert rows["chance"]["mean"] == pytest.approx(25, abs=1)
