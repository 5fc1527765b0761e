"""The runner as engines start it: real processes, real signals, a tiny experiment."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from unittest.mock import Mock

import pytest
import torch

from tests.jobs.runners import LONG, Job, Make, finish
from tests.training.test_resume import assert_same
from vqa.jobs import runner
from vqa.jobs.heartbeat import read_beat
from vqa.jobs.outcome import why_lost
from vqa.training.directory import RunLock, runner_lock
from vqa.training.run import train


@pytest.mark.slow
def test_every_kind_of_death_is_told_and_leaves_no_trace_in_the_result(
    job: Callable[..., Job], experiment: Make, tmp_path: Path
) -> None:
    """One job through six lives: rank killed, runner killed, a second runner, preempted, done, and asked again."""
    one = job(trainer=LONG)

    process = one.start()
    one.wait_for_step(20, process)
    one.ranks()[0].kill()
    assert finish(process, 2) == 1
    one.assert_gone(0.1)
    assert one.run.result() is None
    assert one.events()[-1]["reason"] == "rank 0 died of SIGKILL"

    process = one.start()
    one.wait_for_step(100, process)
    process.kill()
    process.wait()
    one.assert_gone()
    assert one.run.result() is None

    process = one.start()
    one.wait_for_step(200, process)
    before = one.ranks()
    second = one.start()
    one.attempt -= 1
    assert finish(second) == 75
    assert one.ranks() == before
    beat = read_beat(one.run.path)
    assert beat is not None
    assert (beat.job, beat.attempt, beat.pid) == (one.id, 3, process.pid)
    process.terminate()
    assert finish(process) == 1
    one.assert_gone(0.1)
    assert one.result()["status"] == "preempted"

    process = one.start()
    assert finish(process) == 0, one.logs()
    one.assert_gone(0.1)
    assert one.result()["status"] == "succeeded"
    assert one.names() == [
        *("started", "lost", "resumed", "resumed", "preempted", "resumed", "succeeded")
    ]
    steps = [event["step"] for event in one.events() if event["event"] == "resumed"]
    assert steps == sorted(steps)
    assert all(event["steps"] == 500 for event in one.events() if "steps" in event)

    before_again = (one.run.path / "result.json").read_bytes()
    one.attempt -= 1
    assert finish(one.start()) == 0
    assert (one.run.path / "result.json").read_bytes() == before_again
    assert finish(one.start()) == 0  # a later attempt of what has succeeded
    assert one.result()["status"] == "succeeded"
    assert one.names().count("resumed") == 3

    torch.set_num_threads(1)
    train(experiment(trainer=LONG), tmp_path / "whole")
    assert_same(tmp_path / "whole", one.run.path)


def test_the_file_cancel_cancels(job: Callable[..., Job]) -> None:
    one = job(trainer=LONG)
    process = one.start(SLURM_NTASKS="2")
    one.wait_for_step(5, process)
    assert not any(name.startswith("SLURM") for name in one.ranks()[0].environ())
    (one.run.path / "cancel").touch()
    finish(process)
    one.assert_gone(0.1)
    assert one.result()["status"] == "cancelled"
    assert one.names() == ["started", "cancelled"]
    assert one.result()["training"]["steps"] > 0
    one.attempt -= 1
    assert finish(one.start()) == 0
    assert one.names() == ["started", "cancelled"]


@pytest.mark.parametrize("status", ["preempted", "cancelled"])
def test_a_run_that_still_loads_stops_at_once(status: str, job: Callable[..., Job]) -> None:
    one = job()
    process = one.start()
    one.wait_for(one.ranks, process)
    if status == "cancelled":
        (one.run.path / "cancel").touch()
    process.terminate()
    finish(process)
    one.assert_gone(0.1)
    assert one.result()["status"] == status
    assert one.names() == [status]


def test_a_request_that_came_before_the_runner_starts_nothing(job: Callable[..., Job]) -> None:
    one = job()
    (one.run.path / "cancel").touch()
    finish(one.start(), 20)
    assert one.result()["status"] == "cancelled"
    assert not list((one.run.path / "logs").glob("rank*"))


def test_a_rank_that_fails_by_itself_fails_the_job_with_its_own_words(
    job: Callable[..., Job], scenes_store: Path, tmp_path: Path
) -> None:
    shutil.copytree(scenes_store, tmp_path / "store")
    one = job(data={"store": str(tmp_path / "store")}, trainer={"devices": 2, "accelerator": "cpu"})
    shutil.rmtree(tmp_path / "store")
    assert finish(one.start()) == 1
    one.assert_gone(0.1)
    result = one.result()
    assert result["status"] == "failed"
    assert "no prepared store" in result["error"]
    assert str(tmp_path / "store") in result["error"]
    assert one.names() == ["failed"]


def test_an_experiment_that_cannot_be_read_fails(job: Callable[..., Job]) -> None:
    one = job()
    one.run.experiment_file.write_text("model: {fusion: nonsense}")
    assert finish(one.start(), 20) == 1
    assert one.result()["status"] == "failed"
    assert "nonsense" in one.result()["error"]


@pytest.mark.parametrize(
    ("place", "number"),
    [
        ("vqa.training.launch.subprocess.Popen", errno.EAGAIN),
        ("vqa.training.directory.fcntl.flock", errno.ENOLCK),
        ("vqa.training.directory.Path.read_text", errno.EIO),
    ],
)
def test_a_machine_that_fails_loses_the_attempt_and_says_why(
    place: str, number: int, job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    one, why = job(), os.strerror(number)
    with monkeypatch.context() as patch:
        patch.setattr(place, Mock(side_effect=OSError(number, why)))
        assert runner.main(str(one.run.path)) == 1
    assert why in why_lost(one.run.path, attempt=1)
    assert why in capsys.readouterr().err
    assert one.run.result() is None


def test_the_runner_is_light() -> None:
    code = "import sys, vqa.jobs.runner; print({'torch', 'numpy', 'datasets', 'vqa.config'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_no_run_is_no_job(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "vqa.jobs.runner", str(tmp_path)], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert done.stderr == f"vqa: {tmp_path}: no run here\n"
    assert list(tmp_path.iterdir()) == []


def test_a_second_runner_touches_nothing(job: Callable[..., Job]) -> None:
    one = job()
    with runner_lock(one.run.path, 0):
        files = sorted(one.run.path.iterdir())
        assert finish(one.start(), 20) == 75
        assert sorted(one.run.path.iterdir()) == files


def test_an_earlier_life_that_does_not_end_is_waited_for_and_left(
    job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    from vqa.jobs import runner

    one = job()
    monkeypatch.setattr(runner, "EARLIER_LIFE_SECONDS", 0.2)
    with RunLock(one.run.path):
        assert runner.main(str(one.run.path)) == 75
    assert one.run.result() is None
    assert why_lost(one.run.path, 1) == "another process is training here"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own with room for little."""
    path = tmp_path / "small"
    path.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(path)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"a small file system cannot be mounted here: {done.stderr.strip()}")
    with ExitStack() as stack:
        stack.callback(subprocess.run, ["umount", "-l", str(path)], check=True)
        yield path


def fill(file: Path) -> None:
    """Take all the room that there is."""
    with file.open("wb", buffering=0) as filler, suppress(OSError):
        while filler.write(b"x" * 4096):
            pass


def test_a_full_disk_fails_the_job_and_keeps_its_newest_checkpoint(
    job: Callable[..., Job], small_disk: Path, experiment: Make, tmp_path: Path
) -> None:
    one = job("small/run", trainer={**LONG, "max_epochs": 60})
    process = one.start()
    one.wait_for_step(10, process)
    fill(small_disk / "filler")
    assert finish(process) == 1
    one.assert_gone(0.1)
    result = one.result()
    assert result["status"] == "failed"
    assert "disk full" in result["error"]
    assert "free some space" in result["error"]
    assert one.names() == ["started", "failed"]
    assert not [file for file in one.run.checkpoints.iterdir() if file.name.startswith(".")]

    (small_disk / "filler").unlink()
    process = one.start()
    assert finish(process) == 0, one.logs()
    assert one.result()["status"] == "succeeded"
    assert one.names() == ["started", "failed", "resumed", "succeeded"]
    assert one.events()[2]["step"] > 0
    assert (one.run.path / ".reserve").stat().st_blocks > 0
    torch.set_num_threads(1)
    train(experiment(trainer={**LONG, "max_epochs": 60}), tmp_path / "whole")
    assert_same(tmp_path / "whole", one.run.path)


def test_wandbs_processes_die_with_the_runner(
    job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    one = job(tracking={"wandb": "offline"}, trainer={**LONG, "max_epochs": 5000})
    process = one.start()
    one.wait_for(lambda: list(one.run.path.glob("wandb/offline-run-*/run-*.wandb")), process)
    one.wait_for_step(5, process)
    assert any("vqa.tracking.sender" in found.cmdline() for found in one.processes())
    process.send_signal(signal.SIGKILL)
    process.wait()
    one.assert_gone(10)  # W&B's own monitor ends by itself; a dispatcher does not wait for that
