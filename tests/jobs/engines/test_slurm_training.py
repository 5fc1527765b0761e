"""Real training under a real Slurm."""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.jobs.engines.slurm_cluster import Cluster
from tests.jobs.engines.tasks import living, standing, until, wait_for
from vqa.config import Experiment
from vqa.jobs.dispatcher import Dispatcher
from vqa.jobs.engines import slurm
from vqa.jobs.engines.base import Standing, Task
from vqa.jobs.engines.slurm import SlurmEngine
from vqa.jobs.home import Home
from vqa.jobs.queue import Queue
from vqa.jobs.record import Resources, Submission
from vqa.training.directory import RunDirectory

pytestmark = pytest.mark.xdist_group("slurm")

MakeTask = Callable[..., Task]


@pytest.fixture
def task(tmp_path: Path, experiment: Callable[..., Experiment]) -> MakeTask:
    """Makes a task of the tiny experiment; keys of its trainer by name."""

    def make(**trainer: Any) -> Task:
        job = secrets.token_hex(4)
        run_dir = tmp_path / job
        made = experiment(trainer={"max_epochs": 2, **trainer})
        RunDirectory(run_dir).create(made)
        needs = Resources(nodes=made.trainer.num_nodes, devices=1)
        return Task(job, 3, run_dir, needs, grace_seconds=20)

    return make


def wait_for_end(engine: SlurmEngine, handle: str) -> None:
    """With patience: torch takes long to import where others compute."""
    until(lambda: standing(engine, handle) is Standing.ENDED, 200)


def result(task: Task) -> dict[str, Any]:
    """How it ended."""
    fields = json.loads((task.run_dir / "result.json").read_text())
    assert isinstance(fields, dict)
    return fields


def events(task: Task) -> list[str]:
    """What happened, in order."""
    lines = (task.run_dir / "events.jsonl").read_text().splitlines()
    return [json.loads(line)["event"] for line in lines]


@pytest.mark.parametrize("nodes", [1, 2])
def test_a_run_is_trained_to_its_end(slurm_engine: SlurmEngine, task: MakeTask, nodes: int) -> None:
    run = task(num_nodes=nodes)
    wait_for_end(slurm_engine, slurm_engine.submit(run))
    ended = result(run)
    assert (ended["status"], ended["job"], ended["attempt"]) == ("succeeded", run.job, 3)
    logs = sorted(path.name for path in (run.run_dir / "logs").glob("r*.log"))
    assert logs == [f"{kind}{node}.log" for kind in ("rank", "runner") for node in range(nodes)]
    assert not living(run.job)


def learns(run: Task) -> bool:
    """Whether a step was logged: before that there is nothing to go on from."""
    journal = run.run_dir / "metrics.jsonl"
    return journal.exists() and journal.stat().st_size > 0


def test_a_run_that_slurm_starts_again_goes_on_where_it_was(
    slurm_cluster: Cluster, slurm_engine: SlurmEngine, task: MakeTask
) -> None:
    run = task(max_epochs=60)
    handle = slurm_engine.submit(run)
    until(lambda: learns(run), 200)
    assert slurm_cluster.run("scontrol", "requeue", handle).returncode == 0
    wait_for(slurm_engine, handle, Standing.PENDING)
    assert result(run)["status"] == "preempted"
    wait_for_end(slurm_engine, handle)
    assert result(run)["status"] == "succeeded"
    assert "resumed" in events(run)


def test_a_run_that_is_asked_to_stop_is_cancelled_where_it_says_so(
    slurm_engine: SlurmEngine, task: MakeTask
) -> None:
    run = task(max_epochs=100_000, num_nodes=2)
    handle = slurm_engine.submit(run)
    until(lambda: learns(run), 200)
    (run.run_dir / "cancel").touch()
    slurm_engine.cancel(handle, force=False)
    wait_for_end(slurm_engine, handle)
    assert result(run)["status"] == "cancelled"
    assert not living(run.job)


def test_a_grid_is_trained_by_one_array(
    slurm_engine: SlurmEngine,
    home: Home,
    queue: Queue,
    submission: Callable[..., Submission],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    called: list[str] = []
    real = slurm._sbatch

    def noted(run_dir: Path, script: str, text: str, name: str) -> str:
        called.append(script)
        return real(run_dir, script, text, name)

    monkeypatch.setattr(slurm, "_sbatch", noted)
    grid = [submission(engine="slurm", group="g", name=f"s{seed}") for seed in range(3)]
    jobs = [job for job, _ in queue.submit_all(grid)]
    dispatcher = Dispatcher(home, lambda _: slurm_engine)
    dispatcher.step()
    queue.request_cancel(jobs[2].id)
    dispatcher.run(threading.Event(), until_idle=True)
    found = [queue.get(job.id) for job in jobs]
    assert [job.state.value for job in found] == ["succeeded", "succeeded", "cancelled"]
    assert [str(job.handle).partition("_")[2] for job in found] == ["0", "1", "2"]
    assert called == ["array.sh"]
