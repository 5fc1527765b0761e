"""Whatever kills who makes a store, the next who makes it finds nothing lost and leaves nothing behind."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

import pytest

from vqa.data import store_writer
from vqa.data.prepare import prepare
from vqa.data.store import Store
from vqa.data.workplace import Workplace
from vqa.errors import DataError, VQAError


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "store"


def begun(place: Path) -> Workplace:
    """Somebody has begun a store."""
    work = Workplace(place)
    work.new.mkdir()
    (work.new / "examples.arrow").write_text("half")
    return work


def die(work: Workplace) -> None:
    """As the kernel does for who is killed."""
    assert work._lock is not None
    work._lock.close()


def left(place: Path) -> list[str]:
    return sorted(file.name for file in place.parent.iterdir())


def test_what_a_death_left_half_written_is_removed(place, make, rows_of):
    die(begun(place))
    assert left(place) != []
    prepare(rows_of([make.row()]), place)
    assert left(place) == ["store"]


def test_an_old_store_that_a_death_left_without_a_successor_is_put_back(place, make, rows_of):
    old = prepare(rows_of([make.row()]), place)
    work = begun(place)
    place.rename(work.new.with_name("old"))
    die(work)
    with pytest.raises(DataError, match="already exists"):
        prepare(rows_of([make.row(question="new?")]), place)
    assert Store.open(place).computed_fingerprint() == old.fingerprint
    assert left(place) == ["store"]


@pytest.mark.parametrize("same", [True, False])
def test_what_was_kept_of_a_store_goes_on_where_a_death_came_before(place, make, rows_of, same):
    rows = [make.row()]
    prepare(rows_of(rows), place)
    (place / "cache").mkdir()
    (place / "cache" / "regions").write_text("dear")
    work = Workplace(place)
    place.rename(work.new.with_name("old"))
    prepare(rows_of(rows if same else [make.row(question="new?")]), work.new)
    work.new.rename(place)
    die(work)
    begun(place).close()
    assert (place / "cache" / "regions").exists() is same
    assert left(place) == ["store"]


def test_who_still_works_is_not_disturbed(place, make, rows_of):
    work = begun(place)
    prepare(rows_of([make.row()]), place)
    assert (work.new / "examples.arrow").read_text() == "half"
    work.close()
    assert left(place) == ["store"]


def test_what_is_left_of_a_store_of_another_name_is_left_to_that(place, make, rows_of):
    die(begun(place.with_name("store.b")))
    before = left(place)
    prepare(rows_of([make.row()]), place)
    assert left(place) == [*before, "store"]


def test_where_nothing_can_be_locked_nothing_is_removed(place, make, rows_of, monkeypatch):
    die(begun(place))
    before = left(place)

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    prepare(rows_of([make.row()]), place)
    assert left(place) == [*before, "store"]


def test_what_cannot_be_removed_now_is_later(place, make, rows_of, monkeypatch):
    prepare(rows_of([make.row()]), place)
    with monkeypatch.context() as patch:
        patch.setattr("vqa.data.workplace.shutil.rmtree", lambda *_, **__: None)
        prepare(rows_of([make.row()]), place, overwrite=True)
    assert len(left(place)) == 2
    prepare(rows_of([make.row()]), place, overwrite=True)
    assert left(place) == ["store"]


@pytest.mark.parametrize(("number", "code"), [(errno.ENOSPC, 1), (errno.EIO, 1), (errno.EACCES, 2)])
@pytest.mark.parametrize("what", ["mkdir", "table", "folder", "rename", "open"])
def test_a_fault_at_any_step_leaves_nothing_and_is_the_inputs_only_where_it_is(
    place, make, rows_of, monkeypatch, number, code, what
):
    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    owner, name = {
        "mkdir": (Path, "mkdir"), "table": (store_writer, "ArrowWriter"),
        "folder": (os, "mkdir"), "rename": (Path, "rename"), "open": (Path, "open"),
    }[what]  # fmt: skip
    monkeypatch.setattr(owner, name, fail)
    with pytest.raises(VQAError, match="cannot write the store") as caught:
        prepare(rows_of([make.row()]), place.parent / "new" / "store")
    monkeypatch.undo()
    assert caught.value.exit_code == code
    assert left(place) == []
