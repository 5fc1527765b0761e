"""Writing whole or not at all, on full disks too."""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from vqa.outputs import sync
from vqa.tracking.journal import Journal
from vqa.training.checkpoints import Checkpoints
from vqa.training.directory import RunDirectory
from vqa.training.disk import (
    RESERVE_BYTES,
    Reserve,
    is_disk_full,
    replace_text,
    write_atomic,
)


def full(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_the_reserve_holds_room_and_gives_it_up_for_last_words(tmp_path: Path) -> None:
    reserve, file = Reserve(tmp_path), tmp_path / ".reserve"
    reserve.keep()
    reserve.keep()
    assert file.stat().st_size == RESERVE_BYTES
    assert file.stat().st_blocks * 512 >= RESERVE_BYTES
    said: list[bool] = []

    def write() -> None:
        if file.exists():
            full()
        said.append(True)

    reserve.use(write)
    assert said == [True]
    with pytest.raises(OSError, match="No space left"):
        reserve.use(full)


def test_another_error_leaves_the_reserve(tmp_path: Path) -> None:
    reserve = Reserve(tmp_path)
    reserve.keep()
    with pytest.raises(FileNotFoundError):
        reserve.use(lambda: (tmp_path / "no" / "where").touch())
    assert (tmp_path / ".reserve").exists()


def test_a_file_system_that_promises_nothing_keeps_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "posix_fallocate", full)
    Reserve(tmp_path).keep()
    assert list(tmp_path.iterdir()) == []
    Reserve(tmp_path / "nowhere").keep()


def test_a_full_disk_is_known_behind_what_libraries_make_of_it() -> None:
    def wrapped(cause: BaseException) -> BaseException:
        try:
            raise RuntimeError("writing failed") from cause
        except RuntimeError as error:
            return error

    assert is_disk_full(OSError(errno.EDQUOT, "quota"))
    assert is_disk_full(wrapped(OSError(errno.ENOSPC, "x")))
    assert is_disk_full(RuntimeError("I/O error: No space left on device (os error 28)"))
    assert not is_disk_full(wrapped(OSError(errno.EIO, "x")))
    assert not is_disk_full(MemoryError())


@pytest.mark.parametrize("write", [replace_text, write_atomic])
def test_a_file_is_replaced_whole_or_not_at_all(
    write: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert callable(write)
    file = tmp_path / "file"
    write(file, "old")
    write(file, "new")
    assert file.read_text() == "new"
    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        write(file, "newer")
    assert [one.name for one in tmp_path.iterdir()] == ["file"]
    assert file.read_text() == "new"


def test_an_event_is_a_line_after_whatever_a_death_left(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    (tmp_path / "events.jsonl").write_text('{"event": "started"}\n{"event": "ha')
    run.event("resumed", step=3)
    first, torn, second = (tmp_path / "events.jsonl").read_text().splitlines()
    assert first == '{"event": "started"}'
    assert torn == '{"event": "ha'
    assert second.endswith('"event": "resumed", "step": 3}')


def test_an_event_that_finds_no_room_leaves_no_half(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunDirectory(tmp_path)
    run.event("started")
    before = (tmp_path / "events.jsonl").read_bytes()
    original = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, line: original(descriptor, line[:5]))
    with pytest.raises(OSError, match="No space left"):
        run.event("resumed")
    assert (tmp_path / "events.jsonl").read_bytes() == before


def test_under_a_parent_an_end_is_an_outcome(tmp_path: Path) -> None:
    RunDirectory(tmp_path, under_parent=True).finish({"status": "succeeded"})
    run = RunDirectory(tmp_path)
    assert run.result() is None
    assert run.outcome() == {"status": "succeeded"}
    run.finish({"status": "failed"})
    run.forget_ending()
    assert run.result() is None
    assert run.outcome() is None


def broken(*_: object) -> int:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


def sync_journal(folder: Path) -> None:
    with closing(Journal(folder / "metrics.jsonl")) as journal:
        journal.sync()


@pytest.mark.parametrize(
    ("write", "name"),
    [
        (lambda folder: write_atomic(folder / "a.json", "{}"), "a.json"),
        (sync, "run"),
        (lambda folder: RunDirectory(folder).event("started"), "events.jsonl"),
        (sync_journal, "metrics.jsonl"),
    ],
)
def test_a_disk_that_fails_at_the_end_is_told_with_the_file(
    write: Callable[[Path], None], name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(OSError, match=f"{name}'$"):
        write(folder)


def test_a_checkpoint_that_cannot_be_written_is_told_with_its_file_and_the_systems_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken(io.BytesIO):
        write = broken

    monkeypatch.setattr(Path, "open", lambda *_: Broken())
    with pytest.raises(OSError, match=r"Input/output error: .*step-000000001.pt"):
        Checkpoints(tmp_path / "checkpoints", print).save({"network": {}, "progress": {}}, 1)
