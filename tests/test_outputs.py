"""Files that a user asked for: whole or not at all, and errors that name them."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from vqa.outputs import naming, replacing


def full(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_file_is_replaced_whole_and_can_be_read_by_others(tmp_path: Path) -> None:
    file = tmp_path / "new" / "file.csv"
    for content in (b"old", b"new"):
        with replacing(file) as out:
            out.write(content)
    assert file.read_bytes() == b"new"
    assert stat.S_IMODE(file.stat().st_mode) == 0o644
    assert list(file.parent.iterdir()) == [file]


def test_a_full_disk_leaves_what_stood_there_and_is_told_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file.csv"
    file.write_text("old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left") as caught, replacing(file) as out:
        out.write(b"new")
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(file))
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_what_cannot_be_a_file_is_named_and_not_its_temporary_one(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    places = {tmp_path: tmp_path, tmp_path / "file" / "x" / "y": tmp_path / "file"}
    for wanted, named in places.items():
        with pytest.raises(OSError, match="directory") as caught, replacing(wanted):
            pass
        assert caught.value.filename in (str(named), str(named / "x"))
    unwritable = Path("/proc/file.csv")
    with pytest.raises(OSError) as caught, replacing(unwritable):
        pass
    assert caught.value.filename == str(unwritable)


def test_a_device_stays_one_and_a_link_leads_to_its_file(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No space left"), replacing(Path("/dev/full")) as out:
        out.write(b"x")
    assert Path("/dev/full").is_char_device()
    link, file = tmp_path / "link", tmp_path / "file"
    link.symlink_to(file)
    with replacing(link) as out:
        out.write(b"x")
    assert link.is_symlink()
    assert file.read_bytes() == b"x"


def test_an_error_about_another_file_keeps_its_name(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught, naming(tmp_path / "wanted"):
        (tmp_path / "other").read_bytes()
    assert caught.value.filename == str(tmp_path / "other")


def test_the_programs_own_output_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    """As `vqa compare --csv /dev/stdout >> log` has it."""
    code = (
        "from pathlib import Path; from vqa.outputs import replacing; print('before')\n"
        "with replacing(Path('/dev/stdout')) as out: out.write(b'within\\n')\n"
        "print('after')"
    )
    log = tmp_path / "log"
    log.write_text("kept\n")
    with log.open("ab") as out:
        subprocess.run([sys.executable, "-c", code], stdout=out, check=True)
    assert log.read_text() == "kept\nbefore\nwithin\nafter\n"


def test_a_mode_is_kept_and_a_new_file_has_the_users(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_text("x")
    old.chmod(0o600)
    before = os.umask(0o027)
    try:
        for file in (old, new):
            with replacing(file) as out:
                out.write(b"y")
    finally:
        os.umask(before)
    assert stat.S_IMODE(old.stat().st_mode) == 0o600
    assert stat.S_IMODE(new.stat().st_mode) == 0o640
