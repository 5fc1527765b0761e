"""The same commands against a real `vqa serve` in another process."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import pytest

from vqa.config import Experiment
from vqa.export import load
from vqa.jobs.home import Home
from vqa.jobs.queue import Queue
from vqa.jobs.record import State, Submission


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@dataclass
class Server:
    """A `vqa serve` that can be killed and started again on the same port."""

    home: Home
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self, *words: str) -> None:
        command = [sys.executable, "-m", "vqa.cli", "serve", "--port", str(self.port), *words]
        environment = {**os.environ, "VQA_HOME": str(self.home.path)}
        with (self.home.path / "server.log").open("ab") as log:
            self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                httpx.get(f"{self.address}/api/v1/health", timeout=2)
                return
            except httpx.TransportError:
                time.sleep(0.05)
        raise AssertionError((self.home.path / "server.log").read_text())

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(60)


@contextmanager
def serving(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: str = ""
) -> Iterator[Server]:
    """A server with these settings, and this process's commands pointed at it; their own home is empty."""
    home = Home(tmp_path / "server").make()
    quick = "poll_seconds: 0.05\nquotas: {min_free_mb: 0}\n"
    (home.path / "settings.yaml").write_text(quick + settings)
    made = Server(home, free_port())
    made.start()
    monkeypatch.setenv("VQA_HOME", str(tmp_path / "mine"))
    monkeypatch.setenv("VQA_SERVER", made.address)
    monkeypatch.setenv("VQA_TOKEN_FILE", str(home.path / "token"))
    yield made
    if made.process is not None and made.process.poll() is None:
        made.stop()


@pytest.fixture
def server(tmp_path: Path, scenes_store: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server with one store."""
    with serving(tmp_path, monkeypatch, f"stores: {{scenes: {scenes_store}}}\n") as made:
        yield made


@pytest.fixture
def named(tmp_path: Path, experiment: Callable[..., Experiment]) -> Path:
    """The tiny experiment with a store's name."""
    file = tmp_path / "named.yaml"
    fields = json.loads(experiment().model_dump_json(exclude_unset=True))
    fields["data"]["store"] = "scenes"
    file.write_text(json.dumps(fields))
    return file


def test_a_server_s_store_is_looked_up_to_say_what_a_job_is_scored_on(
    command, server: Server, named: Path
) -> None:
    said = command("submit", named, "evaluation.split=train", "trainer.max_epochs=100000")
    assert said.err.count("the questions that the run learns from") == 1
    job = said.out.strip()
    assert command("cancel", job).code == 0
    until(lambda: command("show", job, "--json").json["job"]["state"] == "cancelled")


def test_from_submission_to_result_by_name(command, server: Server, named: Path) -> None:
    waiting = command("submit", named, "--name", "first", "--key", "k", "--json")
    assert waiting.code == 0, waiting
    job = waiting.json["id"]
    assert command("submit", named, "--name", "first", "--key", "k", "--json").json["id"] == job
    other = command("submit", named, "seed=1", "trainer.max_epochs=100000").out.strip()
    followed = command("logs", job, "--follow", "--metrics")
    assert followed.code == 0
    assert '"train/loss"' in followed.out
    shown = command("show", job, "--json").json
    assert shown["job"]["state"] == "succeeded", (shown, server.home.path)
    assert shown["result"]["overall"] == shown["job"]["overall"]
    assert "succeeded" in command("show", job[:6]).out
    assert command("cancel", other).code == 0
    until(lambda: command("show", other, "--json").json["job"]["state"] == "cancelled")
    table = command("jobs")
    assert "2 jobs: 1 succeeded, 1 cancelled" in table.out
    assert command("resume", job).code == 2
    assert "queued" in command("resume", other).out
    assert command("cancel", other).code == 0
    until(lambda: command("show", other, "--json").json["job"]["state"] == "cancelled")


def test_a_group_is_resumed_and_cancelled_at_once(command, server: Server, named: Path) -> None:
    group, queue = ["--group", "fusions"], Queue(server.home.queue_file)
    endless = ["trainer.max_epochs=100000", "--max-restarts", 0, *group, "--json"]
    killed, going = (command("submit", named, f"seed={k}", *endless).json["id"] for k in (1, 2))
    events = server.home.run_dir(killed) / "events.jsonl"
    until(lambda: events.exists() and '"started"' in events.read_text())
    os.kill(json.loads(events.read_text().split("\n")[0])["pid"], signal.SIGKILL)
    until(lambda: queue.get(killed).terminal)
    assert [job["id"] for job in command("resume", *group, "--json").json] == [killed]
    cancelled = command("cancel", *group, "--json").json
    assert {job["id"] for job in cancelled} == {killed, going}
    assert "nothing was done" in command("cancel", *group).err
    until(lambda: all(queue.get(job).state is State.CANCELLED for job in (killed, going)))
    assert "no group 'fusion'" in command("cancel", "--group", "fusion").err


def test_jobs_that_do_not_outlive_their_server_are_saved_by_it_and_go_on(
    command, server: Server, named: Path
) -> None:
    assert server.stop() == 0
    server.start("--stop-jobs")
    job = command("submit", named, "trainer.max_epochs=100000").out.strip()
    queue = Queue(server.home.queue_file)
    run = server.home.run_dir(job)
    journal = run / "metrics.jsonl"
    until(lambda: journal.exists() and journal.stat().st_size)  # it has taken steps
    assert server.stop() == 0
    stopped = queue.get(job)
    assert (stopped.state, stopped.restarts) == (State.PREEMPTED, 0)
    assert any((run / "checkpoints").glob("step-*.json"))
    server.start()
    until(lambda: '"resumed"' in (run / "events.jsonl").read_text())
    assert command("cancel", job).code == 0
    until(lambda: queue.get(job).state is State.CANCELLED)


def test_an_ablation_is_followed_and_compared_where_its_runs_lie(
    command, server: Server, named: Path, tmp_path: Path
) -> None:
    fields = {
        "group": "fusions",
        "base": json.loads(named.read_text()),
        "axes": {"model.fusion": ["concat", "multiply"]},
        "seeds": 1,
        "baselines": [],
    }
    file = tmp_path / "ablation.yaml"
    file.write_text(json.dumps(fields))
    said = command("ablate", file, "--wait")
    assert said.code == 0, said
    assert "| variant |" in said.out
    assert re.search(r"multiply and concat|multiply beats|concat beats", said.out), said.out
    assert "there before (2 succeeded)\n" in command("ablate", file).err
    said = command("ablate", file, "--dry-run", "--group", "other", "data.store=nowhere")
    assert (said.code, "data.store=NAME names one of the server's: scenes" in said.err) == (2, True)
    told = command("ablate", file, "--wait", "--json").json
    assert {row["name"] for row in told["variants"]} == {"concat", "multiply"}
    job = Path(told["variants"][0]["runs"][0]).name
    shown = command("show", job).out
    assert f"{server.address}/jobs/{job}" in shown
    assert f"vqa export {job}" in shown
    said = command("evaluate", job)
    assert said.code == 2
    assert f"where it lies, on {server.address}" in said.err
    exported = tmp_path / "models" / "best"
    assert command("export", job[:7], "--to", exported).code == 0
    there = load(server.home.run_dir(job))
    here = load(exported)
    picture = np.zeros((16, 16, 3), np.uint8)
    choices = ["red", "green"]
    assert here.ask(picture, "what?", choices).top == there.ask(picture, "what?", choices).top
    assert str(tmp_path) not in (exported / "experiment.yaml").read_text()
    assert command("export", job, "--to", exported).code == 2  # stands already
    refused = command("export", "0123abcd", "--to", tmp_path / "none")
    assert (refused.code, "no job" in refused.err) == (2, True)
    model = server.home.run_dir(job) / "model"
    with (model / "weights.safetensors").open("r+b") as weights:
        weights.seek(-1, os.SEEK_END)
        weights.write(b"\xff")
    refused = command("export", job, "--to", exported.parent / "changed")
    assert (
        f"{job}: what came is no sound model (changed since it was exported: weights" in refused.err
    )
    assert str(exported.parent) not in refused.err
    (model / "tokenizer.json").unlink()
    refused = command("export", job, "--to", exported.parent / "changed")
    assert f"{job}: has a damaged model" in refused.err
    assert sorted(path.name for path in exported.parent.iterdir()) == ["best"]


def test_stores_are_the_servers(command, server: Server, tmp_path: Path) -> None:
    said = command("list", "stores")
    assert said.out.startswith("scenes  (source scenes)  60 images\n    train 160, val 40, test 40")
    [store] = command("list", "stores", "--json", "--filter", "SCENE").json
    assert (store["name"], store["images"]) == ("scenes", 60)
    assert "nothing matches" in command("list", "stores", "--filter", "gqa").err
    said = command("inspect", "scenes")
    assert said.code == 2
    assert (
        f"vqa list stores shows those of the server; what is in one, {server.address}" in said.err
    )
    said = command("compare", "fusions")
    assert "no group was submitted on this machine" in said.err
    assert f"{server.address}/ablations" in said.err
    (server.home.path / "settings.yaml").write_text("poll_seconds: 0.05\n")
    server.stop()
    server.start()
    assert f"{server.address} has no store yet" in command("list", "stores").err


def test_an_address_with_a_path_too_many(
    command, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VQA_SERVER", f"{server.address}/jobs")
    for words in (["jobs"], ["show", "0123abcd"]):
        said = command(*words)
        assert said.code == 2
        assert (
            f"VQA_SERVER={server.address}/jobs: no vqa server answers at that address" in said.err
        )
    monkeypatch.setenv("VQA_SERVER", server.address)
    assert "no job" in command("show", "0123abcd").err


def until(true: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_bad_input_reads_as_it_does_without_a_server(command, server: Server, named: Path) -> None:
    for words, message in (
        (["submit", named, "model.fusoin=concat"], "did you mean 'fusion'?"),
        (["submit", named, "data.store=nowhere"], "nowhere"),
        (["submit", named, "data.store=./scenes"], "data.store=NAME"),
        (["show", "0123abcd"], "no job"),
        (["cancel", "0123abcd"], "no job"),
        (["logs", "0123abcd", "--follow"], "no job"),
    ):
        said = command(*words)
        assert (said.code, said.out) == (2, "")
        assert message in said.err
        assert len(said.err.strip().split("\n")) == 1
    assert not Queue(server.home.queue_file).find()


def test_a_token_that_is_not_the_server_s(
    command, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = tmp_path / "token"
    token.write_text("wrong")
    token.chmod(0o600)
    monkeypatch.setenv("VQA_TOKEN_FILE", str(token))
    said = command("jobs")
    assert said.code == 2
    assert "vqa token" in said.err


def test_tokens_and_scopes(
    command, server: Server, named: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`vqa token` works on the server's home; a reader may look and no more."""
    mine = os.environ["VQA_HOME"]
    monkeypatch.setenv("VQA_HOME", str(server.home.path))
    monkeypatch.delenv("VQA_SERVER")
    added = command("token", "add", "eve", "--scope", "read")
    assert added.code == 0, added
    monkeypatch.setenv("VQA_HOME", mine)
    monkeypatch.setenv("VQA_SERVER", server.address)
    token = tmp_path / "eve"
    token.touch(mode=0o600)
    token.write_text(added.out)
    monkeypatch.setenv("VQA_TOKEN_FILE", str(token))
    assert command("jobs").code == 0
    said = command("submit", named)
    assert said.code == 2
    assert "read" in said.err
    fields = {"experiment": json.loads(named.read_text()), "user": "ada", "group": "fusions"}
    for name in ("one", "two"):
        Queue(server.home.queue_file).submit(Submission(name=name, **fields))
    said = command("cancel", "--group", "fusions")
    assert said.code == 2
    assert len(said.err.strip().split("\n")) == 1, "said once, not of each job"
    monkeypatch.setenv("VQA_HOME", str(server.home.path))
    assert command("token", "list").code == 2  # meant for the server's own machine
    monkeypatch.delenv("VQA_SERVER")
    assert "eve" in command("token", "list").out
    assert added.out.strip() not in command("token", "list").out
    assert command("token", "revoke", "eve").code == 0
    assert command("token", "revoke", "eve").code == 2
    monkeypatch.setenv("VQA_SERVER", server.address)
    assert command("jobs").code == 2


def test_a_server_that_dies_is_waited_for(command, server: Server, named: Path) -> None:
    """Killed and started again while a job runs: its follower notices nothing, and neither does the job."""
    job = command("submit", named, "trainer.max_epochs=100000").out.strip()
    until(lambda: (server.home.run_dir(job) / "metrics.jsonl").exists())

    def bounce() -> None:
        time.sleep(2)  # the follower is at work by then
        server.stop(signal.SIGKILL)
        server.start()
        Queue(server.home.queue_file).request_cancel(job)

    thread = threading.Thread(target=bounce)
    thread.start()
    followed = command("logs", job, "--follow", "--metrics")
    thread.join()
    assert followed.code == 0, followed
    steps = [json.loads(line)["step"] for line in followed.out.split("\n")[:-1]]
    assert steps
    assert steps == sorted(steps)
    detail = command("show", job, "--json").json
    assert (detail["job"]["state"], detail["job"]["attempt"]) == ("cancelled", 1)


def test_term_ends_the_server_and_leaves_the_queue(command, server: Server, named: Path) -> None:
    job = command("submit", named, "trainer.max_epochs=100000").out.strip()
    until(lambda: command("show", job, "--json").json["job"]["state"] == "running")
    server.stop()
    queue = Queue(server.home.queue_file)
    assert queue.get(job).state is State.RUNNING
    server.start()
    assert command("cancel", job).code == 0
    until(lambda: queue.get(job).state is State.CANCELLED)
