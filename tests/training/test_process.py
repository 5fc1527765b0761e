"""What a process that trains settles before it starts: the allocator, and what it imports."""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from vqa.lightning import UNASKED
from vqa.training import launch
from vqa.training.process import (
    SMALL_BLOCKS,
    TUNABLES,
    allocator_variables,
    give_back,
    settle,
)

OLD, MENDED = "glibc 2.36", "glibc 2.39"
MEGABYTES = 200


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
        (OLD, f"{SMALL_BLOCKS}X=7", f"{SMALL_BLOCKS}X=7:{SMALL_BLOCKS}=0"),
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
    assert allocator_variables() == ({} if asked is None else {TUNABLES: asked})


def test_where_the_library_cannot_be_asked_nothing_is_changed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def unknown(_: object) -> str:
        raise ValueError("unrecognized configuration name")

    monkeypatch.setattr(os, "confstr", unknown)
    assert allocator_variables() == {}


def test_ranks_have_it_from_their_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "confstr", lambda _: OLD)
    environments: list[dict[str, str]] = []
    real = subprocess.Popen

    def start(command: list[str], env: dict[str, str], **options: object) -> object:
        environments.append(env)
        return real(["true"])

    monkeypatch.setattr(subprocess, "Popen", start)
    for rank in launch.start_ranks(tmp_path, devices=2, nodes=1):
        rank.process.wait()
    assert [env[TUNABLES] for env in environments] == [f"{SMALL_BLOCKS}=0"] * 2
    assert [env["RANK"] for env in environments] == ["0", "1"]


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="not glibc")
def test_freed_memory_is_kept_until_it_is_given_back() -> None:
    """In a process of its own: what `settle` changes lasts."""
    code = f"""
import json, numpy, sys
from vqa.training.process import give_back, settle
def resident():
    line = next(one for one in open("/proc/self/status") if one.startswith("RssAnon"))
    return int(line.split()[1]) // 1024
settle()
before = resident()
blocks = [numpy.ones(1 << 20, numpy.uint8) for _ in range({MEGABYTES})]
last = numpy.ones(1, numpy.uint8).copy()
del blocks
kept = resident() - before
give_back()
print(json.dumps([kept, resident() - before]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    kept, left = json.loads(done.stdout)
    assert kept > 0.9 * MEGABYTES
    assert left < 0.2 * MEGABYTES


def test_another_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())
    settle()
    give_back()


IMPORTED_LEAN = """
import importlib.util, sys
from importlib.metadata import PathDistribution, version
from vqa.lightning import UNASKED, import_lightning

import_lightning()
import vqa.training.run
print(*(name for name in (*UNASKED, "datasets") if name in sys.modules), sep=",")
print(*map(version, UNASKED), sep=",")
print(PathDistribution.from_name.__self__ is PathDistribution)
print(*(importlib.util.find_spec(name) is not None for name in UNASKED), sep=",")
import scipy.signal, torchvision, transformers
print(scipy.signal.gausspulse(0.0), torchvision.models.resnet18.__name__, transformers.AutoConfig.__name__)
"""


def test_a_run_imports_no_package_that_it_does_not_use_and_may_use_all() -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPORTED_LEAN], capture_output=True, text=True, check=True
    )
    unasked, versions, restored, seen, used = done.stdout.splitlines()
    assert unasked == ""
    assert versions == ",".join(map(version, UNASKED))
    assert restored == "True"
    assert seen == "True,True,True"
    assert used.split() == ["1.0", "resnet18", "AutoConfig"]
