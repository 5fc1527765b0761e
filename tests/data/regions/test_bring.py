"""Bringing regions in beside a store: what stands there is what the files say, or nothing counts."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.data.regions.made import DIM, detect, detect_all, expected, write_npz, write_tsv
from tests.data.regions.test_match import store_of
from vqa.data.cache.place import KEPT_FREE, cached, prune
from vqa.data.cache.rows import find_rows
from vqa.data.regions.bring import Brought, bring_regions, check_complete
from vqa.data.regions.record import Form
from vqa.data.store import Store
from vqa.errors import DataError

IDS = [str(number) for number in range(70, 170)]
ALL = np.arange(100)
FORM = Form(count=3, dim=DIM)
FOUND = [one._replace(size=(640, 480)) for one in detect_all(IDS)]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return store_of(tmp_path / "store", *IDS)


def bring(store: Store, *inputs: Path, form: Form = FORM, **options: bool) -> Brought:
    return bring_regions(store, inputs, form, "bottom-up", ALL, **options)


def kept(store: Store) -> int:
    """Pictures whose regions stand beside the store, by what `vqa cache` says."""
    [about] = [one.about for one in cached(store) if one.kind == "regions"]
    return int(about.removeprefix("bottom-up: ").split(" of 100 rows of 3×11 float16")[0])


def test_every_row_is_its_picture_s(store: Store, tmp_path: Path) -> None:
    """From two kinds of files, in another order than the store's, with pictures that it has not."""
    backwards = [*FOUND[:49:-1], detect("4711")]
    brought = bring(
        store, write_tsv(tmp_path / "f.tsv", backwards), write_npz(tmp_path / "n", FOUND[:50])
    )
    assert (brought.made, brought.kept, brought.others, len(brought.missing)) == (100, 0, 1, 0)
    file = find_rows(brought.file.folder, brought.file.layout, ALL)
    assert file is not None
    rows = file.read(ALL).numpy()
    for row, made in enumerate(FOUND):
        assert np.array_equal(rows[row], expected(made, 3))
    check_complete(brought, store)


def test_what_is_missing_is_counted_and_named(store: Store, tmp_path: Path) -> None:
    brought = bring(store, write_tsv(tmp_path / "f.tsv", [*FOUND[:95], detect("4711")]))
    with pytest.raises(DataError) as caught:
        check_complete(brought, store)
    said = str(caught.value)
    assert "5 of 100 pictures have no regions ('165', '166', '167', …)" in said
    assert "1 records are of other pictures, such as '4711'" in said
    assert "--allow-missing" in said
    rest = bring(store, write_tsv(tmp_path / "g.tsv", FOUND[90:]))
    assert (rest.made, rest.kept, len(rest.missing)) == (5, 5, 0)


def test_a_file_of_other_pictures_leaves_nothing(store: Store, tmp_path: Path) -> None:
    brought = bring(store, write_tsv(tmp_path / "f.tsv", detect_all(["x", "y"])))
    assert len(brought.missing) == 100
    assert [one for one in cached(store) if one.kind == "regions"] == []


def test_a_file_without_a_record_is_said_to_have_none(store: Store, tmp_path: Path) -> None:
    empty = tmp_path / "empty.tsv"
    empty.touch()
    with pytest.raises(DataError, match=r"empty\.tsv: no record in it"):
        bring(store, write_tsv(tmp_path / "f.tsv", FOUND[:9]), empty)
    assert kept(store) == 9


def test_a_bad_record_ends_it_and_the_same_call_goes_on(store: Store, tmp_path: Path) -> None:
    spoilt = [*FOUND[:60], FOUND[60]._replace(features=FOUND[60].features[:2]), *FOUND[61:]]
    file = write_tsv(tmp_path / "f.tsv", spoilt)
    with pytest.raises(DataError, match=r"f.tsv, line 61: 2 regions, and 3 are wanted"):
        bring(store, file)
    assert kept(store) == 60
    write_tsv(file, FOUND)
    brought = bring(store, file)
    assert (brought.made, brought.kept) == (40, 60)
    assert kept(store) == 100


def test_a_picture_that_stands_twice(store: Store, tmp_path: Path) -> None:
    first, second = write_tsv(tmp_path / "f.tsv", FOUND[:9]), write_npz(tmp_path / "n", FOUND[8:])
    with pytest.raises(DataError, match=r"picture '78' stands twice, first in .*f.tsv, line 9"):
        bring(store, first, second)


def test_other_regions_are_not_mixed_with_those_that_stand_there(
    store: Store, tmp_path: Path
) -> None:
    bring(store, write_tsv(tmp_path / "f.tsv", FOUND[:50]))
    others = [one._replace(size=(640, 480)) for one in detect_all(IDS, seed=1)]
    file = write_tsv(tmp_path / "g.tsv", others)
    with pytest.raises(
        DataError, match=r"line 1: other regions of picture '70' .*--source.*--overwrite"
    ):
        bring(store, file)
    assert kept(store) == 50
    elsewhere = bring_regions(store, [file], FORM, "another", ALL)
    assert elsewhere.made == 100
    assert kept_beside(store) == 2


def test_overwriting_begins_anew_but_not_for_a_file_that_is_not_there(
    store: Store, tmp_path: Path
) -> None:
    bring(store, write_tsv(tmp_path / "f.tsv", FOUND[:50]))
    with pytest.raises(DataError, match="no such file"):
        bring(store, tmp_path / "gone.tsv", overwrite=True)
    assert kept(store) == 50
    others = [one._replace(size=(640, 480)) for one in detect_all(IDS[90:], seed=1)]
    assert bring(store, write_tsv(tmp_path / "g.tsv", others), overwrite=True).made == 10
    assert kept(store) == 10


def kept_beside(store: Store) -> int:
    return sum(one.kind == "regions" for one in cached(store))


def test_a_picture_of_another_shape_is_another_picture(store: Store, tmp_path: Path) -> None:
    turned = [FOUND[0]._replace(size=(480, 640))]
    with pytest.raises(DataError, match="line 1: regions of '70' are of a picture of 480×640"):
        bring(store, write_tsv(tmp_path / "f.tsv", turned))


HOLD = """
import sys
from pathlib import Path
from vqa.data.cache.layout import read_manifest
from vqa.data.cache.rows import open_rows
folder = Path(sys.argv[1])
file, _ = open_rows(folder, read_manifest(folder))
assert file.claim(0)
print("held", flush=True)
sys.stdin.read()
"""


def test_one_at_a_time(store: Store, tmp_path: Path) -> None:
    """Locks are a process's, so another one is needed to be refused."""
    file = write_tsv(tmp_path / "f.tsv", FOUND[:1])
    folder = bring(store, file).file.folder
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        with pytest.raises(DataError, match="another process is adding regions"):
            bring(store, file)
        process.communicate()
    assert process.returncode == 0
    assert bring(store, file).kept == 1


def test_pruning_keeps_what_cannot_be_made_again(store: Store, tmp_path: Path) -> None:
    bring(store, write_tsv(tmp_path / "f.tsv", FOUND))
    assert prune(store) == []
    assert kept(store) == 100
    assert [one.kind for one in prune(store, regions=True)] == ["regions"]
    assert kept_beside(store) == 0


def test_too_little_room_is_told_before_anything_is_begun(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vqa.data.regions.bring.shortage", lambda *_: "1 GB are needed")
    with pytest.raises(DataError, match="too little room: 1 GB are needed"):
        bring(store, write_tsv(tmp_path / "f.tsv", FOUND))
    assert not (store.path / "cache").exists()


def test_room_is_wanted_for_what_is_still_missing(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pictures of another split that have theirs leave no room for these; what is overwritten does."""
    half = write_tsv(tmp_path / "f.tsv", FOUND[:50])
    layout = bring(store, half).file.layout
    usage = shutil.disk_usage(tmp_path)._replace(free=KEPT_FREE + 40 * layout.row_bytes)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    rest = write_tsv(tmp_path / "g.tsv", FOUND[50:])
    with pytest.raises(DataError, match="too little room"):
        bring_regions(store, [rest], FORM, "bottom-up", ALL[50:])
    assert bring_regions(store, [half], FORM, "bottom-up", ALL[:50]).kept == 50
    again = bring_regions(store, [half], FORM, "bottom-up", ALL[:50], overwrite=True)
    assert (again.made, again.kept) == (50, 0)
