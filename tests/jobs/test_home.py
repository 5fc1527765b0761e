"""VQA_HOME and its settings."""

from __future__ import annotations

import os
import sqlite3
import time
from pathlib import Path

import pytest

from vqa.errors import ConfigError, JobError
from vqa.jobs import schema
from vqa.jobs.home import Home
from vqa.jobs.queue import Queue


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- engine\n", "settings: a mapping of sections is expected.*begin with a key such as"),
        ("local: {cores: -3}\n", r"local\.cores"),
        ("engin: slurm\n", "engin: no such key; did you mean 'engine'?"),
        ('local: {gpu: ["0"]}\n', "local.gpu: no such key; did you mean 'gpus'?"),
        ("poll_seconds: .nan\n", "poll_seconds"),
        ("ray: {address: 'http://head:port'}\n", r"ray\.address.*invalid port: 'port'"),
        ("a: [", "not valid YAML"),
    ],
)
def test_settings_that_do_not_fit_are_named(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "settings.yaml").write_text(text)
    with pytest.raises(ConfigError, match=said) as error:
        _ = Home(tmp_path).settings
    assert str(tmp_path / "settings.yaml") in str(error.value)


def write(file: Path, text: str, age: float = 60) -> None:
    """Write a file that was changed so many seconds ago."""
    file.write_text(text)
    os.utime(file, (time.time() - age,) * 2)


def test_changed_settings_hold_where_they_have_no_fault(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file, home = tmp_path / "settings.yaml", Home(tmp_path)
    assert home.settings.max_restarts == 3
    write(file, "max_restarts: 4\n")
    assert home.settings.max_restarts == 4
    assert home.settings is home.settings
    write(file, "max_restart: 5\n", age=50)
    assert [home.settings.max_restarts for _ in range(3)] == [4, 4, 4]
    assert caplog.text.count("max_restart: no such key; did you mean 'max_restarts'?") == 1
    write(file, "max_restarts: 6\n", age=0)  # somebody is writing it
    assert home.settings.max_restarts == 4
    write(file, "max_restarts: 6\n", age=40)
    assert home.settings.max_restarts == 6
    file.unlink()
    assert home.settings.max_restarts == 6


@pytest.mark.parametrize("job", ["../x", "/etc", "a/b", "", ".", "a\0b", "x\n"])
def test_no_job_is_a_path(job: str, tmp_path: Path) -> None:
    with pytest.raises(JobError, match="no job"):
        Home(tmp_path).run_dir(job)


def test_what_is_made_is_for_this_user_alone(tmp_path: Path) -> None:
    home = Home(tmp_path / "home").make()
    for folder in (home.path, home.runs, home.stores, home.weights):
        assert folder.stat().st_mode & 0o077 == 0


def test_a_queue_where_nothing_can_be_written_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(*_: object) -> None:
        raise sqlite3.OperationalError("attempt to write a readonly database")

    monkeypatch.setattr(schema, "migrate", refuses)
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(JobError, match="attempt to write a readonly database") as caught:
        Queue(tmp_path / "queue.sqlite3")
    assert "cannot be written here" in str(caught.value)
