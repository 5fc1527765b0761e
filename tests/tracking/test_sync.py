"""`vqa sync`: a run from its journal, again."""

from __future__ import annotations

import fcntl
import json

import pytest

from vqa.cli import main
from vqa.jobs.home import Home
from vqa.jobs.queue import Queue
from vqa.jobs.record import Submission
from vqa.tracking.journal import read_journal
from vqa.training.run import train


def test_a_lost_run_is_written_offline_where_there_is_no_key(
    written_run, records_of, server, monkeypatch, capsys
) -> None:
    monkeypatch.setenv("WANDB_BASE_URL", server)
    run = written_run()
    assert main(["sync", str(run), "--json"]) == 0
    out = capsys.readouterr()
    (sent,) = json.loads(out.out)
    assert (sent["status"], sent["records"]) == ("offline", 3)
    assert "no API key" in out.err
    records = records_of(run)
    history = [item["history"]["item"] for item in records if item["type"] == "history"]
    assert [item["step"] for item in history] == [10, 20, 30]
    updates = [item["summary"]["update"] for item in records if item["type"] == "summary"]
    summary = {key: value for update in updates for key, value in update.items()}
    assert (summary["result/overall"], summary["result/interval/high"]) == (75, 80)
    assert "result/notes" not in summary
    assert records[-1]["exit"].get("exit_code") == 0


def test_what_was_sent_is_not_sent_twice_unless_it_changed(
    written_run, stand_in, server, capsys
) -> None:
    run = written_run()
    stand_in("", run, server)
    assert main(["sync", str(run)]) == 0
    assert "sent, 3 records  https://example.org/run" in capsys.readouterr().out
    assert main(["sync", str(run)]) == 0
    assert "already sent" in capsys.readouterr().out
    assert sum("log" in note for note in stand_in()) == 3
    assert main(["sync", str(run), "--again"]) == 0
    assert sum("log" in note for note in stand_in()) == 6
    with (run / "metrics.jsonl").open("a") as journal:
        journal.write('{"step": 40, "epoch": 1, "time": 1.0}\n')
    capsys.readouterr()
    assert main(["sync", str(run)]) == 0
    assert "sent, 4 records" in capsys.readouterr().out


def test_a_directory_of_runs_is_a_group(written_run, tmp_path, stand_in, server, capsys) -> None:
    first, second = written_run("one"), written_run("two", records=5)
    stand_in("", first, server)
    (second / "wandb").mkdir()
    assert main(["sync", str(tmp_path), "--json"]) == 0
    sent = json.loads(capsys.readouterr().out)
    assert [(item["run"], item["records"]) for item in sent] == [(str(first), 3), (str(second), 5)]
    ids = {note["init"]["id"] for note in stand_in() if "init" in note}
    assert len(ids) == 2


def test_a_run_trained_without_wandb_is_recreated_whole(
    experiment, tmp_path, records_of, capsys
) -> None:
    run = tmp_path / "run"
    train(experiment(tracking={"group": "fusions", "tags": ["variant=a"], "samples": 2}), run)
    assert not (run / "wandb").exists()
    capsys.readouterr()
    assert main(["sync", "--offline", str(run)]) == 0
    records = records_of(run)
    (began,) = [item["run"] for item in records if item["type"] == "run"]
    assert (began["run_group"], began["job_type"]) == ("fusions", "a")
    found = [item["artifact"]["type"] for item in records if item["type"] == "artifact"]
    assert sorted(found) == ["dataset", "model", "run_table", "run_table"]
    history = [item["history"]["item"] for item in records if item["type"] == "history"]
    assert len(history) == sum(1 for _ in read_journal(run / "metrics.jsonl")) + 1
    assert (history[-1]["predictions.nrows"], history[-1]["samples.nrows"]) == (40, 2)
    assert capsys.readouterr().err == ""


def test_a_group_of_jobs_is_sent_as_far_as_it_has_begun(
    written_run, tmp_path, stand_in, monkeypatch, capsys
) -> None:
    monkeypatch.setenv("VQA_HOME", str(tmp_path / "home"))
    home = Home.here().make()
    queue = Queue(home.queue_file)
    jobs = [
        queue.submit(Submission({}, "ada", name, group="fusions"))[0] for name in ("one", "two")
    ]
    run = home.run_dir(jobs[0].id)
    if run.exists():
        run.rmdir()
    written_run().rename(run)
    stand_in("", run)
    assert main(["sync", "--offline", "fusions", "--json"]) == 0
    (sent,) = json.loads(capsys.readouterr().out)
    assert (sent["run"], sent["status"]) == (str(run), "offline")
    assert main(["sync", "fusion"]) == 2
    assert "did you mean 'fusions'" in capsys.readouterr().err
    queue.submit(Submission({}, "ada", "three", group="other"))
    queue.close()
    assert main(["sync", "other"]) == 2
    assert "no run of 'other' has begun" in capsys.readouterr().err


def test_of_several_runs_one_that_cannot_be_sent_leaves_the_others_alone(
    written_run, tmp_path, stand_in, capsys
) -> None:
    bad, good = written_run("bad"), written_run("good")
    (bad / "metrics.jsonl").write_text("{\n{}\n")
    stand_in("", good)
    assert main(["sync", "--offline", str(bad), str(good), "--json"]) == 1
    out = capsys.readouterr()
    assert [one["status"] for one in json.loads(out.out)] == ["left out", "offline"]
    assert "metrics.jsonl:1" in out.err


def test_a_failure_inside_wandb_is_told_and_exits_1(written_run, stand_in, capsys) -> None:
    run = written_run()
    stand_in("log", run)
    assert main(["sync", "--offline", str(run)]) == 1
    out = capsys.readouterr()
    assert "broken inside" in out.err
    assert "failed" in out.out


def test_a_run_whose_model_is_damaged_is_sent_without_samples(
    written_run, stand_in, capsys
) -> None:
    run = written_run()
    for name, text in (("model/model.json", "{}"), ("predictions/val.jsonl", "")):
        (run / name).parent.mkdir()
        (run / name).write_text(text)
    result = json.loads((run / "result.json").read_text())
    (run / "result.json").write_text(json.dumps(result | {"split": "val"}))
    stand_in("", run)
    assert main(["sync", "--offline", str(run), "--json"]) == 0
    (sent,) = json.loads(capsys.readouterr().out)
    assert (sent["status"], sent["records"]) == ("offline", 3)
    assert "no sample predictions" in sent["message"]


def test_what_is_no_run_or_not_at_rest_is_refused(written_run, tmp_path, capsys) -> None:
    assert main(["sync", str(tmp_path / "nowhere")]) == 2
    assert "no run, folder or group" in capsys.readouterr().err
    run = written_run()
    with (run / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert main(["sync", str(run)]) == 2
    assert "still being trained" in capsys.readouterr().err
    (run / "metrics.jsonl").write_text("{\n{}\n")
    assert main(["sync", str(run)]) == 2
    assert "metrics.jsonl:1" in capsys.readouterr().err


def test_wandb_switched_off_is_named(written_run, monkeypatch, capsys) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert main(["sync", str(written_run())]) == 2
    assert "WANDB_MODE" in capsys.readouterr().err


@pytest.mark.parametrize("missing", ["metrics.jsonl", "result.json"])
def test_a_run_cut_off_early_is_sent_as_far_as_it_came(
    missing, written_run, stand_in, capsys
) -> None:
    run = written_run()
    (run / missing).unlink()
    stand_in("", run)
    assert main(["sync", "--offline", str(run)]) == 0
    code = 1 if missing == "result.json" else 0
    assert stand_in()[-1] == {"finish": {"exit_code": code}}
