"""What fails on this machine while an engine is asked: it may pass, and no job has failed by it."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from unittest.mock import Mock

import pytest

from vqa.errors import EngineError
from vqa.jobs.engines import ray, slurm
from vqa.jobs.engines.base import Task
from vqa.jobs.engines.ray import Handle, RayEngine
from vqa.jobs.engines.slurm import SlurmEngine
from vqa.jobs.patience import passes
from vqa.jobs.record import Resources
from vqa.jobs.settings import RaySettings, SlurmSettings


@pytest.fixture
def task(tmp_path: Path) -> Task:
    """A task whose run directory is there."""
    return Task("0123abcd", 1, tmp_path, Resources())


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Puts a command of Slurm into the path."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")

    def make(name: str, text: str) -> None:
        (folder / name).write_text(f"#!/bin/bash\n{text}\n")
        (folder / name).chmod(0o755)

    make("squeue", "true")
    return make


@pytest.mark.parametrize(
    ("place", "number"), [("write_atomic", errno.ENOSPC), ("subprocess.run", errno.EAGAIN)]
)
def test_slurm_is_not_reached_for_want_of_room_or_processes(
    place: str, number: int, task: Task, command: Callable[[str, str], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    command("sbatch", "echo 1")
    monkeypatch.setattr(f"{slurm.__name__}.{place}", Mock(side_effect=OSError(number, "full")))
    with pytest.raises(EngineError, match=r"cannot (write|be started)") as caught:
        SlurmEngine(SlurmSettings()).submit(task)
    assert passes(caught.value)


def test_ray_is_not_asked_for_want_of_room(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "write_text", Mock(side_effect=OSError(errno.EDQUOT, "full")))
    with pytest.raises(EngineError, match="cannot write") as caught:
        ray._make_files(task, Handle(task.name, str(task.run_dir)))
    assert passes(caught.value)


def test_rays_token_that_cannot_be_read_now_fails_no_job(
    task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "read_text", Mock(side_effect=OSError(errno.EMFILE, "too many")))
    with pytest.raises(EngineError, match="token cannot be read: too many") as caught:
        RayEngine(RaySettings(token_file=task.run_dir / "token")).submit(task)
    assert passes(caught.value)


@pytest.mark.parametrize(
    "end", ["kill -9 $$", "echo 'I/O error writing script/environment to file' >&2; exit 1"]
)
def test_a_job_is_kept_whose_submission_broke_off(
    end: str, task: Task, command: Callable[[str, str], None]
) -> None:
    command("sbatch", end)
    with pytest.raises(EngineError) as caught:
        SlurmEngine(SlurmSettings()).submit(task)
    assert caught.value.temporary


def test_what_no_machine_is_to_blame_for_does_not_pass() -> None:
    assert not passes(EngineError("refused"))
    assert not passes(OSError(errno.EACCES, os.strerror(errno.EACCES)))
