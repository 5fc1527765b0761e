"""Making rows: after any death, beside other processes, and on a disk that fills up."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
import torch

from vqa.data.cache.fill import Maker, fill
from vqa.data.cache.layout import Layout
from vqa.data.cache.rows import CHUNK, RowFile, find_rows, open_rows
from vqa.errors import DataError, VQAError

COUNT = 10 * CHUNK + 7
LAYOUT = Layout("pictures", COUNT, (4,), "uint8", {"store": "a"})
ALL = np.arange(COUNT)
Usage = namedtuple("Usage", "total used free")


def right(rows: np.ndarray) -> torch.Tensor:
    return torch.from_numpy((rows[:, None] * np.asarray([1, 3, 5, 7])) % 256).to(torch.uint8)


class Counting:
    """Makes right rows, and notes which."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.made: list[int] = []
        self.seconds = seconds

    def decode(self, rows: np.ndarray) -> torch.Tensor:
        time.sleep(self.seconds)
        self.made += rows.tolist()
        return right(rows)

    @property
    def maker(self) -> Maker:
        return Maker(self.decode, lambda pictures: pictures, threads=2)


def all_right(folder: Path) -> bool:
    file = find_rows(folder, LAYOUT, ALL)
    return file is not None and torch.equal(file.read(ALL), right(ALL))


def test_only_what_is_missing_is_made(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    counting, (file, _) = Counting(), open_rows(tmp_path / "f", LAYOUT)
    some = np.asarray([0, 1, CHUNK, 5 * CHUNK + 3])
    fill(file, some, counting.maker)
    assert sorted(counting.made) == some.tolist()
    fill(file, ALL, counting.maker)
    assert sorted(counting.made) == ALL.tolist()
    assert all_right(tmp_path / "f")
    told = capfd.readouterr().err
    assert f"{COUNT - 4:,} of {COUNT:,} pictures are to be made, 4 bytes each, 2.6 KB in" in told
    assert f"pictures: {COUNT:,} pictures, " in told
    fill(file, ALL, counting.maker)
    assert capfd.readouterr().err == ""


def run_filler(folder: Path) -> subprocess.Popen[bytes]:
    code = (
        "from pathlib import Path; from vqa.data.cache.rows import open_rows;"
        "from vqa.data.cache.fill import fill; from tests.data.cache.test_fill import *;"
        f"counting = Counting(0.05); file, _ = open_rows(Path({str(folder)!r}), LAYOUT);"
        "print('open', flush=True); fill(file, ALL, counting.maker, announce=False);"
        "print(len(counting.made))"
    )
    root = Path(__file__).parents[3]
    return subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        cwd=root,
        env=os.environ | {"PYTHONPATH": str(root)},
    )


def test_a_kill_costs_a_few_chunks_and_two_processes_share_the_rest(tmp_path: Path) -> None:
    folder = tmp_path / "f"
    first = run_filler(folder)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        file, _ = open_rows(folder, LAYOUT)
        if 0 < len(file.missing(ALL)) < COUNT:
            break
        time.sleep(0.01)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    file, troubles = open_rows(folder, LAYOUT)
    left = len(file.missing(ALL))
    assert troubles == []
    assert 0 < left < COUNT
    both = [run_filler(folder), run_filler(folder)]
    made = [int(one.communicate()[0].split()[1]) for one in both]
    assert sum(made) == left
    assert all_right(folder)


def test_too_little_room_is_refused_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, _ = open_rows(tmp_path / "f", LAYOUT)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**12, 0, 256_000_000))
    counting = Counting()
    with pytest.raises(
        DataError, match=r"too little room: 2\.6 KB are needed at .* 256\.0 MB are free"
    ):
        fill(file, ALL, counting.maker, announce=False)
    assert counting.made == []


def test_a_disk_that_fills_up_keeps_what_was_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, _ = open_rows(tmp_path / "f", LAYOUT)
    write, written = RowFile.write, []

    def full(self: RowFile, rows: np.ndarray, values: torch.Tensor) -> None:
        if len(written) == 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written.append(rows)
        write(self, rows, values)

    monkeypatch.setattr(RowFile, "write", full)
    with pytest.raises(VQAError, match="the disk became full — free some space") as caught:
        fill(file, ALL, Counting().maker, announce=False)
    assert caught.value.exit_code == 1
    monkeypatch.undo()
    again, _ = open_rows(tmp_path / "f", LAYOUT)
    assert len(again.missing(ALL)) == COUNT - 3 * CHUNK
    fill(again, ALL, Counting().maker, announce=False)
    assert all_right(tmp_path / "f")
