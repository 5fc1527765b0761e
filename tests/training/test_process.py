"""What a process that trains asks of the allocator before it starts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from vqa import cli
from vqa.training import launch, process
from vqa.training.process import SMALL_BLOCKS, TUNABLES, variables

OLD, MENDED = "glibc 2.36", "glibc 2.39"


@pytest.fixture(autouse=True)
def no_tunables(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a shell where nobody set any."""
    monkeypatch.delenv(TUNABLES, raising=False)


@pytest.mark.parametrize(
    ("library", "told", "asked"),
    [
        (OLD, None, f"{SMALL_BLOCKS}=0"),
        ("glibc 2.9", None, f"{SMALL_BLOCKS}=0"),
        (OLD, "glibc.malloc.check=1", f"glibc.malloc.check=1:{SMALL_BLOCKS}=0"),
        (OLD, f"{SMALL_BLOCKS}=7", None),
        (MENDED, None, None),
        ("musl 1.2.5", None, None),
        ("glibc", None, None),
        (None, None, None),
    ],
)
def test_an_old_glibc_is_asked_to_join_freed_memory(
    library: str | None, told: str | None, asked: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "confstr", lambda _: library)
    if told is not None:
        monkeypatch.setenv(TUNABLES, told)
    assert variables() == ({} if asked is None else {TUNABLES: asked})


def test_where_the_library_cannot_be_asked_nothing_is_changed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def unknown(_: object) -> str:
        raise ValueError("unrecognized configuration name")

    monkeypatch.setattr(os, "confstr", unknown)
    assert variables() == {}


def test_a_command_begins_anew_once_as_the_same_process(tmp_path: Path) -> None:
    script = tmp_path / "begins.py"
    script.write_text(
        "import os, sys\n"
        f"print(os.getpid(), os.environ.get({TUNABLES!r}), *sys.argv[1:], flush=True)\n"
        f"os.confstr = lambda _: {OLD!r}\n"
        "from vqa.training.process import begin_anew\n"
        "begin_anew()\n"
        "print('trains', flush=True)\n"
    )
    command = [sys.executable, "-X", "faulthandler", str(script), "a word", "--option"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as started:
        said = started.communicate()[0].splitlines()
    pid = started.pid
    assert said == [
        f"{pid} None a word --option",
        f"{pid} {SMALL_BLOCKS}=0 a word --option",
        "trains",
    ]


@pytest.mark.parametrize(("command", "begun"), [("train", 1), ("list", 0)])
def test_the_command_that_trains_begins_anew(
    command: str, begun: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    times: list[str] = []
    monkeypatch.setattr(cli, "begin_anew", lambda: times.append(command))
    monkeypatch.setattr(cli, "main", lambda: 0)
    monkeypatch.setattr(cli, "collect_rarely", lambda: None)
    monkeypatch.setattr(sys, "argv", ["vqa", command, "--help"])
    assert cli.program() == 0
    assert len(times) == begun


def test_ranks_have_it_from_their_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "confstr", lambda _: OLD)
    environments: list[dict[str, str]] = []
    real = subprocess.Popen

    def start(command: list[str], env: dict[str, str], **options: object) -> object:
        environments.append(env)
        return real(["true"])

    monkeypatch.setattr(launch.subprocess, "Popen", start)
    for rank in launch.start_ranks(tmp_path, devices=2, nodes=1):
        rank.process.wait()
    assert [env[TUNABLES] for env in environments] == [f"{SMALL_BLOCKS}=0"] * 2
    assert [env["RANK"] for env in environments] == ["0", "1"]


@pytest.mark.parametrize(("told", "kept"), [(None, str(process.PRODUCTS_KEPT)), ("7", "7")])
def test_the_code_of_products_is_kept_as_one_wishes(
    told: str | None, kept: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "ONEDNN_PRIMITIVE_CACHE_CAPACITY"
    monkeypatch.setenv(name, told or "")
    if told is None:
        monkeypatch.delenv(name)
    process.settle()
    assert os.environ[name] == kept
