"""Signs of life of a runner."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from vqa.jobs import heartbeat
from vqa.jobs.heartbeat import Heartbeat, beat_file, read_beat
from vqa.jobs.processes import is_alive


def test_a_heartbeat_counts_and_says_who_beats(tmp_path: Path) -> None:
    beating = Heartbeat(tmp_path, "job", attempt=3, node=1)
    assert read_beat(tmp_path, 1) is None
    for count in (1, 2):
        beating.beat()
        beat = read_beat(tmp_path, 1)
        assert beat is not None
        assert (beat.job, beat.attempt, beat.node, beat.beat) == ("job", 3, 1, count)
    assert beat.pid == os.getpid()
    assert is_alive(beat.pid, beat.start_time)
    assert set(json.loads(beat_file(tmp_path, 1).read_text())) == {
        *("job", "attempt", "node", "host", "pid", "start_time", "beat", "time")
    }
    assert [file.name for file in (tmp_path / "heartbeats").iterdir()] == ["1.json"]


def test_it_beats_no_faster_than_it_should(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    beating = Heartbeat(tmp_path, "job", 1, 0)
    beats = []
    for clock[0] in (100.0, 100.5, 100.9, 101.0, 101.5, 103.0):
        beating.tick()
        beats.append(beating.last.beat)
    assert beats == [1, 1, 1, 2, 2, 3]


def test_a_full_disk_does_not_stop_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    beating = Heartbeat(tmp_path, "a" * 50, 1, 0)
    beating.beat()

    def full(path: Path, text: str) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(heartbeat, "replace_text", full)
    beating.beat()
    beat = read_beat(tmp_path)
    assert beat is not None
    assert beat.beat == 2
    beat_file(tmp_path, 0).unlink()
    beating.beat()
    assert read_beat(tmp_path) is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"beat": 1}', '"a"', "\xff"])
def test_what_is_no_heartbeat_is_none(text: str, tmp_path: Path) -> None:
    beat_file(tmp_path, 0).parent.mkdir()
    beat_file(tmp_path, 0).write_text(text, encoding="latin-1")
    assert read_beat(tmp_path) is None
