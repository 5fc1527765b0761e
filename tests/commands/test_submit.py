"""`vqa submit`: what reaches the queue, and what never does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
import unicodedata
from pathlib import Path
from unittest.mock import Mock

import pytest
import yaml

from vqa.commands import submit
from vqa.config import load_experiment, parse_experiment
from vqa.data.prepare import prepare
from vqa.data.sources.scenes import Scenes
from vqa.jobs.home import Home
from vqa.jobs.queue import Queue
from vqa.jobs.record import State
from vqa.names import TITLE_RULE


def test_a_job_is_queued_with_what_was_asked(command, jobs, config: Path) -> None:
    said = command(
        "submit", config, "model.fusion=concat", "--name", "cat", "--group", "fusions",
        "--priority", 3, "--cores", 1, "--memory-mb", 500, "--time-minutes", 9,
        "--max-restarts", 1, "--engine", "slurm", "--key", "k",
    )  # fmt: skip
    assert said.code == 0
    job = jobs.queue.get(said.out.strip())
    asked = job.submission
    assert (asked.name, asked.group, asked.priority, asked.key) == ("cat", "fusions", 3, "k")
    assert (asked.engine, asked.max_restarts) == ("slurm", 1)
    resources = asked.resources
    assert (resources.cores, resources.memory_mb, resources.time_minutes) == (1, 500, 9)
    wanted = load_experiment(config, ["model.fusion=concat"])
    assert parse_experiment(asked.experiment).digest() == wanted.digest()
    assert f"vqa logs {job.id} --follow" in said.err


def test_a_job_that_will_be_scored_on_its_own_questions_is_told(
    command, jobs, config: Path, tmp_path: Path
) -> None:
    scenes = Scenes({"train": 20}, questions_per_image=3)
    store = prepare(scenes, tmp_path / "lone", name="scenes").path
    assert "learns from" not in command("submit", config).err
    said = command("submit", config, f"data.store={store}")
    assert said.code == 0
    assert said.err.count("the questions that the run learns from") == 1


def test_settings_that_do_nothing_are_told(command, jobs, config: Path) -> None:
    said = command("submit", config, "optimizer.momentum=0.5")
    assert said.code == 0
    assert "optimizer.momentum=0.5 does nothing: optimizer.name is adam" in said.err


@pytest.mark.parametrize(("engine", "limited"), [("local", False), ("slurm", True)])
def test_a_limit_of_time_is_shown_where_there_is_one(
    command, jobs, config: Path, engine: str, limited: bool
) -> None:
    said = command("submit", config, "--engine", engine, "--time-minutes", 9)
    assert ("--time-minutes does nothing: local sets no limit" in said.err) == (not limited)
    assert ("9 min" in command("show", said.out.strip()).out) == limited


def test_the_same_key_gives_the_same_job(command, jobs, config: Path) -> None:
    first, second = (command("submit", config, "--key", "k", "--json").json for _ in range(2))
    assert first["id"] == second["id"]
    assert len(jobs.queue.find()) == 1
    said = command("submit", config, "seed=5", "--key", "k")
    assert said.code == 2
    assert "stands for another submission" in said.err


def test_a_key_whose_job_has_ended_says_what_can_be_done_now(command, jobs, config: Path) -> None:
    first = command("submit", config, "--key", "k")
    assert "is queued; `vqa logs" in first.err
    jobs.queue.request_cancel(first.out.strip())
    again = command("submit", config, "--key", "k")
    assert (again.code, again.out) == (0, first.out)
    assert f"is cancelled; `vqa resume {first.out.strip()}`" in again.err
    assert "shows it at work" not in again.err


def test_paths_lead_to_the_same_place_from_everywhere(
    command, jobs, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Path(load_experiment(config).data.store)
    monkeypatch.chdir(store.parent)
    for written in (store.name, f"./{store.name}", f"../{store.parent.name}/{store.name}"):
        said = command("submit", config, f"data.store={written}")
        kept = jobs.queue.get(said.out.strip()).submission.experiment["data"]["store"]
        assert Path(kept).is_absolute()
        assert Path(kept).samefile(store)


def test_a_store_of_the_home_goes_by_its_name(command, jobs, config: Path) -> None:
    store = load_experiment(config).data.store
    (jobs.home.stores / "named").symlink_to(store)
    said = command("submit", config, "data.store=named")
    assert said.code == 0, said.err
    kept = jobs.queue.get(said.out.strip()).submission.experiment["data"]["store"]
    assert Path(kept).samefile(store)


@pytest.mark.parametrize("name", ["mein erster", "Jo\u0308rg 2", "模型-3", "पहला"])
def test_a_job_is_called_as_people_write(command, jobs, config: Path, name: str) -> None:
    said = command("submit", config, "--name", name)
    assert said.code == 0, said.err
    kept = jobs.queue.get(said.out.strip()).submission.name
    assert kept == unicodedata.normalize("NFC", name)
    assert kept in command("jobs").out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["model.fusoin=concat"], "did you mean 'fusion'?"),
        (["model.fusion=multipy"], "did you mean 'multiply'?"),
        (["data.store=/nowhere/at/all"], "/nowhere/at/all"),
        (["data.store=nowhere"], "nowhere"),
        (["model.image_encoder.strides=[64,64]"], "model.image_encoder"),
        (
            ["--name", "a/b"],
            f"--name: {TITLE_RULE}",
        ),
        (["--name", "a\u202eb"], f"--name: {TITLE_RULE}"),
        (["--name", " a"], f"--name: {TITLE_RULE}"),
        (["--group", "../X"], "letter or digit, not '../X'"),
        (["--name", "n" * 121], "--name: string should have at most 120 characters"),
        (["--priority", "1001"], "--priority"),
        (["--cores", "0"], "--cores"),
        (["--key", ""], "--key"),
    ],
)
def test_what_is_wrong_never_queues(
    command, jobs, config: Path, words: list[str], message: str
) -> None:
    said = command("submit", config, *words)
    assert said.code == 2
    assert message in said.err
    assert len(said.err.strip().split("\n")) == 1
    assert said.out == ""
    assert not jobs.queue.find()


def test_a_config_that_is_missing(command, still: Home) -> None:
    assert command("submit", "nowhere.yaml").code == 2


def test_submit_without_a_server_runs_the_job_to_its_end(
    command, vqa_home: Home, config: Path
) -> None:
    """The dispatcher starts by itself; nothing was set up."""
    said = command("submit", config, "--wait", "--json")
    log = vqa_home.dispatcher_log.read_text()
    assert said.code == 0, (said, log)
    assert said.json["state"] == "succeeded"
    assert said.json["overall"] is not None
    shown = command("show", said.json["id"])
    assert "vqa ask" in shown.out
    followed = command("logs", said.json["id"], "--metrics", "--follow")
    assert json.loads(followed.out.split("\n")[0])["step"] > 0
    evaluated = command("evaluate", said.json["id"][:6], "--json")
    assert evaluated.code == 0, evaluated
    assert evaluated.json["overall"] == said.json["overall"]


def test_wait_exits_1_where_the_job_did_not_succeed(
    command, jobs, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(submit, "LOOK_SECONDS", 0.02)

    def fail() -> None:
        queue = Queue(jobs.home.queue_file)
        while not (waiting := queue.find()):
            time.sleep(0.02)
        claimed = queue.claim(waiting[0])
        assert claimed
        queue.move(claimed, State.FAILED, "loss is not finite\x1b[2J")

    thread = threading.Thread(target=fail)
    thread.start()
    said = command("submit", config, "--wait")
    thread.join()
    assert said.code == 1
    assert "loss is not finite" in said.err
    assert "\x1b" not in said.err


def test_an_interrupted_wait_leaves_the_job_in_the_queue(
    command, jobs, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(submit.time, "sleep", interrupt)
    said = command("submit", config, "--wait")
    assert said.code == 1
    assert "goes on" in said.err
    assert jobs.queue.find()[0].state is State.QUEUED


def test_an_interrupted_ablation_is_said_to_go_on(
    command, jobs, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "ablation.yaml"
    axes = "{model.fusion: [sum, concat]}"
    file.write_text(f"group: g\nbase: {config}\naxes: {axes}\nseeds: 1\nbaselines: []\n")
    monkeypatch.setattr("vqa.ablation.follow.follow", Mock(side_effect=KeyboardInterrupt))
    said = command("ablate", file, "--wait")
    assert said.code == 1
    assert "g goes on; `vqa cancel --group g` ends it" in said.err
    assert [job.state for job in jobs.queue.find()] == [State.QUEUED] * 2


def test_a_job_s_id_stands_for_its_run(command, jobs) -> None:
    """`evaluate`, `compare`, `ask`, `export` take it; a path comes first."""
    job = jobs.ended(State.FAILED)
    for words in (["evaluate", job.id], ["export", job.id, "--to", "x"], ["compare", job.id]):
        said = command(*words)
        assert said.code == 2
        assert str(jobs.home.run_dir(job.id)) in said.err


def test_short_words_and_other_words_stand_for_no_run(tmp_path: Path, vqa_home: Home) -> None:
    from vqa.commands.find import run_path
    from vqa.errors import JobError

    for name in ("0123abcd", "0123abff"):
        vqa_home.run_dir(name).mkdir()
    assert run_path("0123abc") == vqa_home.run_dir("0123abcd")
    assert run_path("012") == Path("012")
    assert run_path("runs/0123abcd") == Path("runs/0123abcd")
    with pytest.raises(JobError, match="begins several jobs"):
        run_path("0123")


def test_a_path_comes_before_a_job(
    tmp_path: Path, vqa_home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vqa.commands.find import run_path

    vqa_home.run_dir("0123abcd").mkdir()
    monkeypatch.chdir(tmp_path)
    Path("0123abcd").mkdir()
    assert run_path("0123abcd") == Path("0123abcd")


def test_a_server_that_is_away_is_named_and_nothing_is_queued_here(
    command, vqa_home: Home, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vqa.jobs.remote.DELAYS", (0,))
    monkeypatch.setenv("VQA_SERVER", "http://127.0.0.1:9")
    said = command("submit", config, "data.store=scenes")
    assert said.code == 2  # there is no token yet
    assert "vqa token add" in said.err
    token = vqa_home.path / "token"
    token.write_text("secret")
    token.chmod(0o600)
    environment = {**os.environ, "VQA_SERVER": "http://127.0.0.1:9"}
    done = subprocess.run(
        [sys.executable, "-m", "vqa.cli", "jobs"], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "VQA_SERVER=http://127.0.0.1:9" in done.stderr
    assert len(done.stderr.strip().split("\n")) == 1
    assert not vqa_home.queue_file.exists()


def test_a_short_experiment_is_sent_short(config: Path, tmp_path: Path) -> None:
    """What the person did not write is left to the service, which may be newer."""
    import argparse

    short = tmp_path / "short.yaml"
    short.write_text(yaml.safe_dump({"data": {"store": "scenes"}, "model": {"fusion": "concat"}}))
    parser = argparse.ArgumentParser()
    submit.configure(parser)
    asked = submit.request(parser.parse_args([str(short), "trainer.max_epochs=3"]))
    assert asked.experiment == {
        "data": {"store": "scenes"},
        "model": {"fusion": "concat"},
        "trainer": {"max_epochs": 3},
    }
    assert parse_experiment(asked.experiment) == load_experiment(short, ["trainer.max_epochs=3"])
