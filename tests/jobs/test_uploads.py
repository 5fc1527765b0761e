"""What is staged of an upload: kept over the death of a server, and deleted in the end."""

from __future__ import annotations

import errno
import os
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from vqa.data.sources.staged import picture_file
from vqa.data.store import Store
from vqa.errors import DataError, JobError
from vqa.jobs.home import Home
from vqa.jobs.library import Library
from vqa.jobs.uploads import making, room
from vqa.jobs.uploads.making import make
from vqa.jobs.uploads.service import Uploads
from vqa.jobs.uploads.shapes import Piece, Sent, UploadRequest
from vqa.jobs.uploads.staging import Staging, on_disk

DAYS = 86_400


def uploads(home: Home, work: Any = None) -> Uploads:
    """As a server that has just started has them."""
    return Uploads(home, Library(home), work)


def anew(server: Uploads, home: Home) -> Uploads:
    """The same after a restart."""
    server.close()
    return uploads(home)


def request(store: Store) -> UploadRequest:
    return UploadRequest(
        fingerprint=store.fingerprint,
        source="scenes",
        questions=store.examples.num_rows,
        images=store.manifest.images,
        bytes=1000,
    )


def piece(store: Store, first: int, count: int) -> Piece:
    hashes, records = store.image_hashes(), list(store.records(first))[:count]
    pictures = {one["image_id"]: hashes[one["image_id"]] for one in records}
    return Piece(first=first, examples=[Sent(**one) for one in records], pictures=pictures)


def send_picture(to: Uploads, store: Store, row: int) -> int:
    data, sha256 = store.image_bytes(row), store.images[row]["sha256"]
    to.add_picture("ann", "mine", sha256, data)
    return len(data)


def send_all(to: Uploads, home: Home, store: Store) -> Path:
    """Everything but that it is all; where it is staged."""
    to.begin("ann", "mine", request(store))
    to.add_examples("ann", "mine", piece(store, 0, store.examples.num_rows))
    for row in range(store.images.num_rows):
        send_picture(to, store, row)
    [folder] = (home.path / "uploads").iterdir()
    return folder


def test_what_has_come_is_there_after_a_death(home: Home, store: Store) -> None:
    before = uploads(home)
    before.begin("ann", "mine", request(store))
    before.add_examples("ann", "mine", piece(store, 0, 10))
    before.add_examples("ann", "mine", piece(store, 10, 7))
    size = send_picture(before, store, 3)
    [folder] = (home.path / "uploads").iterdir()
    (folder / "pictures" / "ab").mkdir(exist_ok=True)
    (folder / "pictures" / "ab" / f".{'ab' * 32}.0123").write_bytes(b"half a picture")
    (folder / "examples" / ".half").write_bytes(b"half a piece")
    after = anew(before, home)
    view = after.begin("ann", "mine", request(store))
    assert (view.questions, view.pictures, view.bytes) == (17, 1, size)
    sha256 = store.images[3]["sha256"]
    assert after.missing("ann", "mine", [sha256, "0" * 64]) == ["0" * 64]
    after.add_examples("ann", "mine", piece(store, 17, 3))
    assert after.look("ann", "mine").questions == 20


def test_of_two_servers_one_takes_uploads(home: Home, store: Store) -> None:
    """What is staged is counted in memory: two that took the same user's would pass quotas together."""
    one, other = uploads(home), uploads(home)
    one.begin("ann", "mine", request(store))
    calls: tuple[Callable[[], object], ...] = (
        lambda: other.begin("ann", "yours", request(store)),
        lambda: other.look("ann", "mine"),
        lambda: other.add_examples("ann", "mine", piece(store, 0, 10)),
    )
    for call in calls:
        with pytest.raises(JobError, match="another server of this VQA_HOME takes uploads"):
            call()
    other.sweep()
    one.add_examples("ann", "mine", piece(store, 0, 10))
    one.close()
    assert other.look("ann", "mine").questions == 10


def test_what_nobody_goes_on_with_is_deleted(home: Home, store: Store) -> None:
    one, root, week = uploads(home), home.path / "uploads", (time.time() - 8 * DAYS,) * 2
    for name in ("old", "new"):
        one.begin("ann", name, request(store))
    folders = {'"old"' in said(path): path for path in root.iterdir()}
    old, new = folders[True], folders[False]
    os.utime(old / "upload.json", week)
    left = [root / ".deleting-x", home.stores / ".deleting-y", home.stores / ".upload-z"]
    kept, begun, young = home.stores / f".upload-{new.name}", root / "0123", root / "4567"
    for folder in (*left, kept, begun, young):
        folder.mkdir()
    for folder in (begun, new):  # what comes stands deeper in a folder, whose own time is older
        os.utime(folder, week)
    for server in (one, uploads(home)):
        one.close()
        server.sweep()
        with pytest.raises(JobError, match="no upload 'old'"):
            server.look("ann", "old")
        assert server.look("ann", "new").state == "open"
    assert not [folder for folder in (old, begun, *left) if folder.exists()]
    assert kept.exists()
    assert young.exists()  # begun a moment ago, and no more than that


def test_what_somebody_has_removed_holds_up_no_sweep(home: Home, store: Store) -> None:
    server = uploads(home)
    for name in ("gone", "old"):
        server.begin("ann", name, request(store))
    folders = {('"gone"' in said(path)): path for path in (home.path / "uploads").iterdir()}
    shutil.rmtree(folders[True])
    os.utime(folders[False] / "upload.json", (time.time() - 8 * DAYS,) * 2)
    server.sweep()
    for name in ("gone", "old"):
        with pytest.raises(JobError, match=f"no upload '{name}'"):
            server.look("ann", name)


def test_a_store_that_somebody_has_removed_takes_nothing(home: Home, store: Store) -> None:
    (home.path / "settings.yaml").write_text("quotas: {min_free_mb: 0, upload_mb_per_user: 1}\n")
    server, full = uploads(Home(home.path)), home.stores / "full"
    full.mkdir()
    (full / "uploaded.json").write_text('{"user": "ann", "time": 1}')
    (full / "images.arrow").write_bytes(bytes(1 << 20))
    with pytest.raises(JobError, match="the uploads of ann take 2 MiB"):
        server.begin("ann", "mine", request(store))
    shutil.rmtree(full)
    assert server.begin("ann", "mine", request(store)).state == "open"


def test_the_stores_of_a_user_are_counted(
    home: Home, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "MOST_STORES", 2)
    server = uploads(home)
    for name, user in (("a", "ann"), ("b", "ben"), ("c", "ann")):
        assert server.begin("ann", "mine", request(store)).state == "open"
        (home.stores / name).mkdir()
        (home.stores / name / "uploaded.json").write_text(f'{{"user": "{user}", "time": 1}}')
    with pytest.raises(JobError, match="ann has uploaded 2 stores"):
        server.begin("ann", "mine", request(store))
    assert server.begin("ben", "mine", request(store)).state == "open"


def test_reasons_are_short_whatever_ids_are(home: Home, store: Store) -> None:
    server, twice = uploads(home), Sent(question_id="x" * 9000, image_id="i", question="what?")
    told = request(store).model_copy(update={"questions": 2, "text_only": True})
    server.begin("ann", "mine", told)
    server.add_examples("ann", "mine", Piece(first=0, examples=[twice, twice]))
    [folder] = (home.path / "uploads").iterdir()
    [record] = make(home, open_staging(folder))["unusable"]
    assert (len(record["reason"]), record["where"]) == (500, "mine, record 2")


def test_what_a_power_cut_has_damaged_is_asked_for_again(home: Home, store: Store) -> None:
    server = uploads(home)
    folder = send_all(server, home, store)
    cut, changed = (
        picture_file(folder, store.images[row]["sha256"]) for row in (0, store.images.num_rows - 1)
    )
    cut.write_bytes(b"")
    told = make(home, open_staging(folder))
    assert (told["state"], told["error"][:25]) == ("failed", "1 pictures were damaged o")
    server = anew(server, home)
    send_picture(server, store, 0)
    changed.write_bytes(store.image_bytes(1))  # a picture, but another one
    assert make(home, open_staging(folder))["state"] == "failed"
    assert (cut.exists(), changed.exists()) == (True, False)
    server = anew(server, home)
    send_picture(server, store, store.images.num_rows - 1)
    [examples] = (folder / "examples").iterdir()
    examples.write_bytes(bytes(100))
    assert "damaged" in make(home, open_staging(folder))["error"]
    again = anew(server, home)
    assert again.look("ann", "mine").questions == 0
    again.add_examples("ann", "mine", piece(store, 0, store.examples.num_rows))
    assert make(home, open_staging(folder)) == {"state": "made"}


def open_staging(folder: Path) -> Staging:
    found = Staging.open(folder)
    assert found is not None
    return found


def said(folder: Path) -> str:
    return (folder / "upload.json").read_text()


def test_a_name_that_stands_for_something_else_is_taken(home: Home, store: Store) -> None:
    (home.path / "settings.yaml").write_text("quotas: {min_free_mb: 0}\nstores: {away: /nowhere}\n")
    (home.stores / "link").symlink_to("/nowhere")
    (home.stores / "folder").mkdir()
    (home.stores / "file").write_text("")
    server = uploads(Home(home.path))
    for name in ("away", "link", "folder", "file"):
        with pytest.raises(JobError, match=f"another store is called '{name}'"):
            server.begin("ann", name, request(store))


def test_damaged_records_are_no_uploads(home: Home, store: Store) -> None:
    server = uploads(home)
    server.begin("ann", "mine", request(store))
    [folder] = (home.path / "uploads").iterdir()
    (folder / "upload.json").write_text("{")
    assert Staging.open(folder) is None
    assert anew(server, home).begin("ann", "mine", request(store)).questions == 0


def test_a_making_that_dies_leaves_what_has_come(home: Home, store: Store) -> None:
    def dies(staging: Staging, tell: Any) -> dict[str, Any]:
        raise RuntimeError("no memory")

    server = uploads(home, dies)
    small = request(store).model_copy(update={"questions": 2})
    server.begin("ann", "mine", small)
    server.add_examples("ann", "mine", piece(store, 0, 2))
    server.finish("ann", "mine")
    until = time.monotonic() + 60
    while (view := server.look("ann", "mine")).state == "making":
        assert time.monotonic() < until
    assert (view.state, view.questions) == ("failed", 2)
    assert server.begin("ann", "mine", small).questions == 2


def test_two_contents_under_one_name_do_not_mix(home: Home, store: Store) -> None:
    going = threading.Event()

    def waits(staging: Staging, tell: Any) -> dict[str, Any]:
        assert going.wait(60)
        return {"state": "refused", "error": "no"}

    server = uploads(home, waits)
    small = request(store).model_copy(update={"questions": 2})
    other = small.model_copy(update={"fingerprint": "1" * 64})
    server.begin("ann", "mine", small)
    server.add_examples("ann", "mine", piece(store, 0, 2))
    assert server.finish("ann", "mine").state == "making"
    assert server.finish("ann", "mine").state == "making"  # its answer was lost
    assert server.begin("ann", "mine", small).state == "making"
    with pytest.raises(JobError, match="other content is being made"):
        server.begin("ann", "mine", other)
    for call in (lambda: send_picture(server, store, 0), lambda: server.abandon("ann", "mine")):
        with pytest.raises(JobError, match="a store is being made of it"):
            call()
    going.set()
    until = time.monotonic() + 60
    while server.look("ann", "mine").state == "making":
        assert time.monotonic() < until
    assert server.look("ann", "mine").error == "no"
    assert server.begin("ann", "mine", other).questions == 0


def test_the_disk_that_files_take() -> None:
    assert [on_disk(size) for size in (0, 1, 4096, 4097)] == [4096, 4096, 4096, 8192]


def test_what_is_staged_is_nobody_elses_to_read(home: Home, store: Store) -> None:
    server = uploads(home)
    server.sweep()  # before anything has come
    server.begin("ann", "mine", request(store))
    assert (home.path / "uploads").stat().st_mode & 0o077 == 0


def test_a_store_is_on_the_disk_before_it_has_its_name(
    home: Home, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, fsync, rename = send_all(uploads(home), home, store), os.fsync, Path.rename
    synced, before = set[int](), set[int]()

    def noted(descriptor: int) -> None:
        fsync(descriptor)
        synced.add(os.fstat(descriptor).st_ino)

    def renamed(path: Path, to: Path) -> Path:
        before.update(synced)
        return rename(path, to)

    monkeypatch.setattr(os, "fsync", noted)
    monkeypatch.setattr(Path, "rename", renamed)
    assert make(home, open_staging(folder)) == {"state": "made"}
    made = home.stores / "mine"
    assert {path.stat().st_ino for path in (made, *made.iterdir())} <= before
    assert home.stores.stat().st_ino in synced


def test_a_disk_that_has_filled_up_meanwhile_keeps_what_has_come(home: Home, store: Store) -> None:
    folder, settings = send_all(uploads(home), home, store), home.path / "settings.yaml"
    settings.write_text("quotas: {min_free_mb: 1000000000}\n")
    told = make(Home(home.path), open_staging(folder))
    assert (told["state"], told["error"][:25]) == ("failed", "the server's disk is full")
    settings.write_text("quotas: {min_free_mb: 0}\n")
    assert make(Home(home.path), open_staging(folder)) == {"state": "made"}


def test_a_disk_that_does_not_read_a_picture_refuses_no_store(
    home: Home, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, read = send_all(uploads(home), home, store), Path.read_bytes
    [picture, *_] = sorted(file for file in (folder / "pictures").rglob("*") if file.is_file())

    def fails_once(file: Path) -> bytes:
        if file.name != picture.name:
            return read(file)
        monkeypatch.setattr(Path, "read_bytes", read)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(Path, "read_bytes", fails_once)
    told = make(home, open_staging(folder))
    assert told == {"state": "failed", "error": "unreadable (Input/output error)"}
    assert make(home, open_staging(folder)) == {"state": "made"}


def test_what_fails_is_told_without_places_on_this_machine(
    home: Home, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, place = send_all(uploads(home), home, store), str(home.stores / "x")
    for error, told in (
        (DataError("is damaged", where=place), "is damaged"),
        (DataError("is damaged", where="mine, record 2"), "mine, record 2: is damaged"),
        (OSError(errno.EDQUOT, "Disk quota exceeded", place), "Disk quota exceeded"),
    ):
        monkeypatch.setattr(making, "prepare", Mock(side_effect=error))
        assert make(home, open_staging(folder)) == {"state": "failed", "error": told}


def test_a_quota_may_be_filled_and_not_exceeded(home: Home) -> None:
    (home.path / "settings.yaml").write_text("quotas: {upload_mb_per_user: 2}\n")
    allowance = room.Allowance(Home(home.path))
    allowance.check_quota("ann", 1 << 20, 1 << 20)
    with pytest.raises(JobError, match="take 1 MiB, and 2 MiB more would exceed the 2 MiB"):
        allowance.check_quota("ann", 1 << 20, (1 << 20) + 1)
