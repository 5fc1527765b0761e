"""Downloads from a real server that breaks off, changes, lies and refuses."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import shutil
from collections import namedtuple
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from tests.data.published.conftest import Shelf
from vqa.cli import main
from vqa.data.published import fetch, sets
from vqa.data.published.download import LOCK, Fetched, download
from vqa.data.published.facts import DataSet, Remote
from vqa.errors import DataError, DownloadError, InputError


class NoBar:
    def begin(self, total: int | None, done: int) -> None: ...

    def advance(self, count: int) -> None: ...


CONTENT = bytes(range(256)) * 40
SHA256 = hashlib.sha256(CONTENT).hexdigest()


def get(shelf: Shelf, to: Path, *remotes: Remote, **more: Any) -> list[Fetched]:
    return download(remotes or (shelf.remote("a.zip"),), to, lambda _: NoBar(), **more)


def parts(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.glob("*.part*"))


def test_a_file_comes_whole_and_what_came_is_written_down(shelf: Shelf, tmp_path: Path) -> None:
    shelf.files["a.zip"] = CONTENT
    (found,) = get(shelf, tmp_path / "to")
    assert (tmp_path / "to" / "a.zip").read_bytes() == CONTENT
    assert (found.size, found.sha256, found.fetched) == (len(CONTENT), SHA256, True)
    assert found.checked == "nothing"
    lock = json.loads((tmp_path / "to" / LOCK).read_text())
    assert lock["files"]["a.zip"]["sha256"] == SHA256
    assert parts(tmp_path / "to") == []


def test_what_is_there_is_checked_and_not_fetched_again(shelf: Shelf, tmp_path: Path) -> None:
    shelf.files["a.zip"] = CONTENT
    get(shelf, tmp_path)
    shelf.asked.clear()
    (found,) = get(shelf, tmp_path)
    assert (found.fetched, found.checked, shelf.asked) == (False, "first download", [])
    (tmp_path / "a.zip").write_bytes(b"spoilt")
    with pytest.raises(DownloadError, match=r"a\.zip: sha256 of the first download: .* --again"):
        get(shelf, tmp_path)
    (found,) = get(shelf, tmp_path, again=True)
    assert (tmp_path / "a.zip").read_bytes() == CONTENT
    assert found.fetched


@pytest.mark.parametrize("breaks", [[3000], [3000, 0, 1], [1, 1, 1, 1]])
def test_a_broken_connection_is_gone_on_with(
    breaks: list[int], shelf: Shelf, tmp_path: Path
) -> None:
    shelf.files["a.zip"], shelf.breaks = CONTENT, list(breaks)
    (found,) = get(shelf, tmp_path, shelf.remote("a.zip", sha256=SHA256))
    assert found.checked == "published"
    sums = [sum(breaks[: k + 1]) for k in range(len(breaks))]
    assert shelf.gets == [None, *(f"bytes={at}-" for at in sums)]


def test_a_later_run_goes_on_where_an_earlier_gave_up(shelf: Shelf, tmp_path: Path) -> None:
    shelf.files["a.zip"], shelf.breaks = CONTENT, [500, 0, 0, 0, 0]
    with pytest.raises(DownloadError, match=r"broke off 5 times .* 500 bytes are kept"):
        get(shelf, tmp_path)
    assert not (tmp_path / "a.zip").exists()
    assert parts(tmp_path) == ["a.zip.part", "a.zip.part.json"]
    shelf.asked.clear()
    get(shelf, tmp_path)
    assert shelf.gets == ["bytes=500-"]
    assert (tmp_path / "a.zip").read_bytes() == CONTENT


@pytest.mark.parametrize(("ranges", "tags"), [(False, True), (True, False)])
def test_a_server_that_cannot_go_on_begins_again(
    ranges: bool, tags: bool, shelf: Shelf, tmp_path: Path
) -> None:
    shelf.files["a.zip"], shelf.breaks = CONTENT, [500]
    shelf.ranges, shelf.tags = ranges, tags
    get(shelf, tmp_path)
    assert (tmp_path / "a.zip").read_bytes() == CONTENT


def test_two_versions_are_never_mixed(shelf: Shelf, tmp_path: Path) -> None:
    shelf.files["a.zip"], shelf.breaks = CONTENT, [500, 0, 0, 0, 0]
    with pytest.raises(DownloadError):
        get(shelf, tmp_path)
    shelf.files["a.zip"] = CONTENT[::-1]
    get(shelf, tmp_path)
    assert (tmp_path / "a.zip").read_bytes() == CONTENT[::-1]


def test_a_part_that_is_already_complete_is_taken(shelf: Shelf, tmp_path: Path) -> None:
    shelf.files["a.zip"], shelf.breaks = CONTENT, [500, 0, 0, 0, 0]
    with pytest.raises(DownloadError):
        get(shelf, tmp_path)
    (tmp_path / "a.zip.part").write_bytes(CONTENT)
    get(shelf, tmp_path)
    assert (tmp_path / "a.zip").read_bytes() == CONTENT
    (tmp_path / "a.zip").unlink()
    (tmp_path / "a.zip.part").write_bytes(CONTENT + b"more")
    (tmp_path / "a.zip.part.json").write_text("{damaged")
    get(shelf, tmp_path)
    assert (tmp_path / "a.zip").read_bytes() == CONTENT


@pytest.mark.parametrize("known", [{"sha256": "0" * 64}, {"md5": "0" * 32}])
def test_a_wrong_checksum_leaves_nothing(
    known: dict[str, str], shelf: Shelf, tmp_path: Path
) -> None:
    shelf.files["a.zip"] = CONTENT
    with pytest.raises(DownloadError, match=r"a\.zip: (sha256|md5): .* but 0+ was expected"):
        get(shelf, tmp_path, shelf.remote("a.zip", **known))
    assert not (tmp_path / "a.zip").exists()
    assert parts(tmp_path) == []
    assert not (tmp_path / LOCK).exists()


def test_a_file_that_changed_since_the_first_download_is_noticed(
    shelf: Shelf, tmp_path: Path
) -> None:
    shelf.files["a.zip"] = CONTENT
    get(shelf, tmp_path)
    (tmp_path / "a.zip").unlink()
    shelf.files["a.zip"] = b"other"
    with pytest.raises(DownloadError, match="first download"):
        get(shelf, tmp_path)
    (found,) = get(shelf, tmp_path, again=True)
    assert (tmp_path / "a.zip").read_bytes() == b"other"
    assert found.checked == "nothing"


def test_another_size_than_the_known_one_is_refused_before_it_comes(
    shelf: Shelf, tmp_path: Path
) -> None:
    shelf.files["a.zip"] = CONTENT
    with pytest.raises(DownloadError, match=r"10,240 bytes would come, 9 are known"):
        get(shelf, tmp_path, shelf.remote("a.zip", size=9))
    shelf.lengths = False
    with pytest.raises(DownloadError, match=r"more than 9 bytes come"):
        get(shelf, tmp_path, shelf.remote("a.zip", size=9))
    assert parts(tmp_path) == []


def test_a_length_that_is_not_said_is_no_obstacle(shelf: Shelf, tmp_path: Path) -> None:
    shelf.files["a.zip"], shelf.lengths = CONTENT, False
    get(shelf, tmp_path)
    assert (tmp_path / "a.zip").read_bytes() == CONTENT


def test_a_packed_answer_is_refused(shelf: Shelf, tmp_path: Path) -> None:
    shelf.files["a.zip"], shelf.packed = CONTENT, True
    with pytest.raises(DownloadError, match="packed, unasked"):
        get(shelf, tmp_path)


@pytest.mark.parametrize("status", [404, 410])
def test_what_is_not_there_any_more_is_said(status: int, shelf: Shelf, tmp_path: Path) -> None:
    shelf.statuses = [status]
    with pytest.raises(DownloadError, match=rf"/a\.zip: the server answers (404|{status})"):
        get(shelf, tmp_path, shelf.remote("a.zip", size=3))
    assert len(shelf.gets) == 1
    with pytest.raises(DownloadError, match="the server answers 404"):
        get(shelf, tmp_path)


@pytest.mark.parametrize("statuses", [[503], [500, 429, 502]])
def test_a_busy_server_is_asked_again(statuses: list[int], shelf: Shelf, tmp_path: Path) -> None:
    shelf.files["a.zip"], shelf.statuses = CONTENT, list(statuses)
    get(shelf, tmp_path)
    assert len(shelf.gets) == len(statuses) + 1


def test_redirects_are_followed_but_not_for_ever(shelf: Shelf, tmp_path: Path) -> None:
    shelf.files["b.zip"], shelf.redirects = CONTENT, {"a.zip": "/b.zip", "loop": "/loop"}
    get(shelf, tmp_path)
    assert (tmp_path / "a.zip").read_bytes() == CONTENT
    with pytest.raises(DownloadError, match="cannot be reached"):
        get(shelf, tmp_path, shelf.remote("loop"))


def test_no_server_no_file_and_the_address_is_named(tmp_path: Path, shelf: Shelf) -> None:
    remote = Remote("http://127.0.0.1:9/a.zip", "a.zip", size=10)
    with pytest.raises(DownloadError, match=r"127\.0\.0\.1:9/a\.zip: cannot be reached") as caught:
        get(shelf, tmp_path / "to", remote)
    assert caught.value.exit_code == 1
    assert "get the file by hand" in str(caught.value)
    assert not (tmp_path / "to").exists()


def test_too_little_room_is_said_before_anything_comes(
    shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf.files["a.zip"] = CONTENT
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**12, 0, 205_000_000))
    with pytest.raises(InputError, match=r"19\.0 GB are to come, 0\.2 GB are free"):
        get(shelf, tmp_path, shelf.remote("a.zip", size=19 * 10**9))
    assert shelf.gets == []
    get(shelf, tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**12, 0, 100))
    shelf.files["b.zip"], shelf.lengths = CONTENT, False
    with pytest.raises(DownloadError, match="nearly full"):
        get(shelf, tmp_path, shelf.remote("b.zip"))


def test_of_several_files_those_that_came_stay(shelf: Shelf, tmp_path: Path) -> None:
    shelf.files = {"a.zip": CONTENT, "c.zip": b"c"}
    remotes = [
        shelf.remote("a.zip", size=len(CONTENT)),
        shelf.remote("b.zip", size=1),
        shelf.remote("c.zip"),
    ]
    with pytest.raises(DownloadError, match=r"b\.zip"):
        get(shelf, tmp_path, *remotes)
    assert (tmp_path / "a.zip").read_bytes() == CONTENT
    assert not (tmp_path / "c.zip").exists()
    shelf.files["b.zip"] = b"b"
    assert [one.fetched for one in get(shelf, tmp_path, *remotes)] == [False, True, True]


def test_one_download_at_a_time(shelf: Shelf, tmp_path: Path) -> None:
    shelf.files["a.zip"] = CONTENT
    with (tmp_path / ".vqa-download.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(InputError, match="another vqa download works here"):
            get(shelf, tmp_path)


def test_a_folder_without_locks_is_no_second_download(
    shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))
    monkeypatch.setattr(fcntl, "flock", Mock(side_effect=error))
    with pytest.raises(OSError, match="No locks available") as caught:
        get(shelf, tmp_path)
    assert caught.value.filename == str(tmp_path / ".vqa-download.lock")


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"files": 3}', '{"files": {"a": []}}', '{"files": {"a": {"sha256": 3}}}']
)
def test_a_damaged_lock_file_is_said(text: str, shelf: Shelf, tmp_path: Path) -> None:
    (tmp_path / LOCK).write_text(text)
    with pytest.raises(DataError, match=rf"{LOCK}: damaged"):
        get(shelf, tmp_path)


def test_https_is_never_left_for_http() -> None:
    import httpx

    answer = httpx.Response(200, request=httpx.Request("GET", "http://example.invalid/a"))
    with pytest.raises(DownloadError, match="leads from https to http"):
        fetch._check_answer(Remote("https://example.invalid/a", "a"), answer)


@pytest.fixture
def made_set(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> DataSet:
    """A data set on the shelf, among the known ones."""
    shelf.files = {"q.json": b"{}", "pictures.zip": CONTENT}
    one = DataSet(
        name="made", source="vqa", summary="Made for a test.", paper="Nobody 2026",
        licence="CC0 1.0", page="https://example.invalid", protocol="exact/1",
        files=(shelf.remote("q.json"),), pictures=(shelf.remote("pictures.zip"),),
        prepare="vqa q.json --images .",
    )  # fmt: skip
    monkeypatch.setattr(sets, "DATA_SETS", (*sets.DATA_SETS, one))
    return one


def test_the_command_shows_licence_and_paper_first(
    made_set: DataSet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["download", "made", "--to", str(tmp_path / "to")]) == 0
    shown = capsys.readouterr()
    lines = shown.err.splitlines()
    assert lines[1:3] == ["licence: CC0 1.0", "cite: Nobody 2026"]
    assert any(line.startswith("q.json of 2 B") for line in lines[4:])
    assert "q.json  2 B  fetched, no checksum is published" in shown.out
    assert "vqa prepare vqa q.json --images . --to STORE" in shown.out
    assert main(["download", "made", "--to", str(tmp_path / "to"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [file["checked"] for file in told["files"]] == ["first download"] * 2
    assert told["licence"] == "CC0 1.0"


def test_pictures_can_be_left_out_and_the_folder_is_the_name(
    made_set: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["download", "made", "--no-images"]) == 0
    assert sorted(file.name for file in (tmp_path / "made").glob("[a-z]*")) == ["q.json", LOCK]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("clever", "did you mean 'clevr'"),
        ("scenes", "vqa prepare scenes --to STORE"),
        ("vqa-rad", "no public address of vqa-rad is known here — see https://osf.io"),
    ],
)
def test_what_cannot_be_downloaded_says_what_to_do(
    name: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["download", name, "--to", str(tmp_path / "to")]) == 2
    assert told in capsys.readouterr().err
    assert not (tmp_path / "to").exists()


def test_without_a_network_the_command_fails_clearly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert main(["download", "clevr", "--to", str(tmp_path)]) == 1
    shown = capsys.readouterr().err
    assert "https://dl.fbaipublicfiles.com/clevr/CLEVR_v1.0.zip: cannot be reached" in shown
    assert "licence: CC BY 4.0" in shown
