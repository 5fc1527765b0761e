"""The mirror: what W&B holds after a run, and that a run never needs it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import vqa.tracking.mirrors as mirroring
from vqa.tracking.identity import run_id, sender_setup
from vqa.tracking.journal import read_journal
from vqa.tracking.link import Link
from vqa.tracking.mirrors import open_mirrors
from vqa.training.run import train

RECORD = {"step": 5, "epoch": 0, "time": 1_700_000_000.5, "train/loss": 0.25}


def mirror_once(experiment, run_dir: Path, mode: str, records: int = 2) -> None:
    mirror = open_mirrors(experiment(tracking={"wandb": mode}), run_dir, enabled=True)
    for step in range(1, records + 1):
        mirror.log({**RECORD, "step": step})
    mirror.finish({"status": "succeeded", "overall": 50.0})
    mirror.close()


def complaints(capfd: pytest.CaptureFixture[str]) -> list[str]:
    return [line for line in capfd.readouterr().err.splitlines() if line.startswith("vqa: W&B")]


def test_a_trained_run_is_in_wandb_as_in_its_journal(
    experiment, tmp_path, records_of, capfd
) -> None:
    tracking = {"wandb": "offline", "project": "p", "group": "g", "tags": ["x", "y"], "samples": 4}
    wanted = experiment(tracking=tracking, model={"attention": {"name": "soft", "glimpses": 2}})
    result = train(wanted, tmp_path / "run")
    assert result.status == "succeeded"
    assert complaints(capfd) == []
    records = records_of(tmp_path / "run")

    run = next(item["run"] for item in records if item["type"] == "run")
    config = {key: value for key, value in run["config"]["update"].items() if key != "_wandb"}
    assert config == json.loads(json.dumps(wanted.to_dict()))
    assert (run["project"], run["run_group"], run["tags"]) == ("p", "g", ["x", "y"])
    assert run["job_type"] == "train"
    assert run["run_id"] == (tmp_path / "run" / "wandb_id").read_text().strip()
    assert run["display_name"] == "run"

    history = [item["history"]["item"] for item in records if item["type"] == "history"]
    journal = list(read_journal(tmp_path / "run" / "metrics.jsonl"))
    assert len(history) == len(journal) + 1
    for shown, record in zip(history, journal, strict=False):
        assert {key: shown[key] for key in record} == pytest.approx(record)
        assert shown["_timestamp"] == pytest.approx(record["time"])
    assert any("gradient_by_step/00" in item for item in history)
    assert any("forget_gate/layer_0" in item for item in history)
    assert history[-1]["samples._type"] == history[-1]["predictions._type"] == "table-file"
    assert (history[-1]["samples.nrows"], history[-1]["samples.ncols"]) == (4, 11)
    assert history[-1]["step"] == journal[-1]["step"]

    metrics = [item["metric"] for item in records if item["type"] == "metric"]
    assert {"glob_name": "*", "step_metric": "step"}.items() <= metrics[-1].items()
    summary: dict = {}
    for item in records:
        summary |= item.get("summary", {}).get("update", {})
    assert summary["result/overall"] == pytest.approx(result.overall)
    assert summary["result/interval/low"] == pytest.approx(result.fields["interval"]["low"])
    for kind, figure in result.fields["per_question_type"].items():
        assert summary[f"result/per_question_type/{kind}"] == pytest.approx(figure)
    assert records[-1]["exit"].get("exit_code") == 0


@pytest.mark.parametrize("key", [None, "0123456789012345678901234567890123456789"])
def test_online_without_a_key_or_a_server_goes_on_offline_and_says_so_once(
    key, experiment, tmp_path, monkeypatch, capfd, records_of, server
) -> None:
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9" if key else server)
    if key:
        monkeypatch.setenv("WANDB_API_KEY", key)
    mirror_once(experiment, tmp_path, "online")
    (line,) = complaints(capfd)
    assert ("no API key" if key is None else "no answer from http://127.0.0.1:9") in line
    assert f"vqa sync {tmp_path}" in line
    history = [item for item in records_of(tmp_path) if item["type"] == "history"]
    assert [item["history"]["item"]["step"] for item in history] == [1, 2]


@pytest.mark.parametrize("does", ["import", "log", "die"])
def test_whatever_breaks_inside_wandb_costs_one_line(
    does, experiment, tmp_path, stand_in, capfd
) -> None:
    stand_in(does)
    mirror_once(experiment, tmp_path, "offline", records=50)
    assert len(complaints(capfd)) == 1


def test_a_run_succeeds_though_wandb_breaks(experiment, tmp_path, stand_in, capfd) -> None:
    stand_in("log")
    result = train(experiment(tracking={"wandb": "offline"}), tmp_path / "run")
    assert result.status == "succeeded"
    assert len(complaints(capfd)) == 1


def test_a_run_with_an_unreachable_server_is_whole_offline(
    experiment, tmp_path, monkeypatch, capfd, records_of
) -> None:
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("WANDB_API_KEY", "0123456789012345678901234567890123456789")
    run = tmp_path / "run"
    assert train(experiment(tracking={"wandb": "online"}), run).status == "succeeded"
    (line,) = complaints(capfd)
    assert "no answer from http://127.0.0.1:9" in line
    kinds = [item["artifact"]["type"] for item in records_of(run) if item["type"] == "artifact"]
    assert sorted(kinds) == ["dataset", "model", "run_table", "run_table"]


def test_a_wandb_that_hangs_is_left(experiment, tmp_path, stand_in, monkeypatch, capfd) -> None:
    stand_in("hang")
    monkeypatch.setattr(mirroring, "CLOSE_SECONDS", 2.0)
    mirror_once(experiment, tmp_path, "offline", records=50_000)  # more than the queue holds
    (line,) = complaints(capfd)
    assert "not done after 2 s" in line


def test_artifacts_that_cannot_be_sent_cost_one_line(
    experiment, written_run, stand_in, capfd
) -> None:
    stand_in("artifacts")
    run = written_run()
    (run / "model").mkdir()
    (run / "model" / "model.json").write_text("{}")
    mirror_once(experiment, run, "offline")
    (line,) = complaints(capfd)
    assert "no word of the data (RuntimeError: no room)" in line
    notes = stand_in()
    assert sum("log" in note for note in notes) == 2
    assert notes[-1] == {"finish": {"exit_code": 0}}


def test_artifacts_that_never_end_are_left(
    experiment, written_run, stand_in, monkeypatch, capfd
) -> None:
    stand_in("slow artifacts")
    monkeypatch.setattr(mirroring, "CLOSE_SECONDS", 5.0)
    run = written_run()
    (run / "model").mkdir()
    (run / "model" / "model.json").write_text("{}")
    mirror_once(experiment, run, "offline")
    (line,) = complaints(capfd)
    assert "not done after 5 s" in line
    assert any("summary" in note for note in stand_in())  # what matters most went first


def test_records_that_find_no_room_are_counted(experiment, tmp_path, stand_in, capfd) -> None:
    stand_in("")
    said: list[str] = []
    setup = sender_setup(experiment(), tmp_path, "offline", 5)
    link = Link(setup, said.append, capacity=1)
    taken = sum(link.put({"record": RECORD}) for _ in range(1000))
    assert link.close(30)
    assert taken < 1000
    assert link.done == {"records": taken}
    assert said == []


def test_nothing_of_wandb_is_imported_into_the_trainer(tmp_path, experiment) -> None:
    code = (
        "import sys; from pathlib import Path; from vqa.config import load_experiment;"
        "from vqa.tracking.mirrors import open_mirrors;"
        f"e = load_experiment({str(tmp_path / 'e.yaml')!r}, ['tracking.wandb=offline']);"
        f"m = open_mirrors(e, Path({str(tmp_path)!r}), enabled=True); m.close();"
        "assert 'wandb' not in sys.modules and 'torch' not in sys.modules"
    )
    (tmp_path / "e.yaml").write_text(experiment().to_yaml())
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, stdin=None)


def test_every_life_of_a_run_goes_on_with_one_wandb_run(experiment, tmp_path, stand_in) -> None:
    stand_in("")
    for _ in range(2):
        mirror_once(experiment, tmp_path, "offline")
    first, second = (note["init"] for note in stand_in() if "init" in note)
    assert first["id"] == second["id"]
    assert first["resume"] == second["resume"] == "allow"
    (tmp_path / "other").mkdir()
    assert run_id(experiment(), tmp_path / "other") != first["id"]


def test_a_killed_trainer_leaves_a_run_marked_as_failed(
    experiment, written_run, tmp_path, stand_in
) -> None:
    stand_in("")
    run = written_run()
    (run / "result.json").unlink()
    code = (
        "import os, time; from pathlib import Path; from vqa.config import load_experiment;"
        "from vqa.tracking.mirrors import open_mirrors;"
        f"run = Path({str(run)!r}); m = open_mirrors(load_experiment(run / 'experiment.yaml'), run, enabled=True);"
        f"m.log({RECORD!r}); print(m._mirrors[0]._link._process.pid, flush=True); time.sleep(600)"
    )
    trainer = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert trainer.stdout is not None
    sender = int(trainer.stdout.readline())
    while not any("log" in note for note in stand_in()):
        assert trainer.poll() is None
        time.sleep(0.05)
    os.kill(trainer.pid, signal.SIGKILL)
    trainer.wait()
    trainer.stdout.close()
    while not any("finish" in note for note in stand_in()):
        assert Path(f"/proc/{sender}").exists() or any("finish" in note for note in stand_in())
        time.sleep(0.05)
    assert stand_in()[-1] == {"finish": {"exit_code": 1}}


@pytest.mark.parametrize(
    ("asked", "variable", "expected"),
    [
        ("online", "", "online"),
        ("online", "offline", "offline"),
        ("offline", "online", "offline"),
        ("online", "disabled", "off"),
        ("off", "online", "off"),
    ],
)
def test_the_environment_can_only_ask_for_less(asked, variable, expected, monkeypatch) -> None:
    monkeypatch.setenv("WANDB_MODE", variable)
    assert mirroring.allowed_mode(asked) == expected


def test_only_the_first_process_mirrors(experiment, tmp_path) -> None:
    wanted = experiment(tracking={"wandb": "offline"})
    for mirrors in (
        open_mirrors(wanted, tmp_path, enabled=False),
        open_mirrors(experiment(), tmp_path, enabled=True),
    ):
        mirrors.log(RECORD)
        mirrors.close()
    assert list(tmp_path.iterdir()) == []
