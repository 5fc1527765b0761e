"""Files of rows: what is read is what was written, or a refusal."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vqa.data.cache import layout, rows
from vqa.data.cache.layout import INDEX, MANIFEST, Layout, described
from vqa.data.cache.rows import ROWS, DamagedRows, find_rows, open_rows
from vqa.errors import DataError, VQAError

COUNT = 150
LAYOUT = Layout("features", COUNT, (3, 5), "bfloat16", {"store": "a", "encoder": {"name": "small"}})
ALL = np.arange(COUNT)


def values(count: int = COUNT) -> torch.Tensor:
    return torch.randn(count, 3, 5, generator=torch.Generator().manual_seed(0)).bfloat16()


@pytest.fixture
def full(tmp_path: Path) -> Path:
    folder = tmp_path / LAYOUT.name
    file, troubles = open_rows(folder, LAYOUT)
    assert troubles == []
    file.write(ALL, values())
    return folder


@given(st.lists(st.integers(0, COUNT - 1), max_size=40))
def test_any_rows_in_any_order(tmp_path_factory: pytest.TempPathFactory, some: list[int]) -> None:
    folder = tmp_path_factory.getbasetemp() / "any"
    file, _ = open_rows(folder, LAYOUT)
    if len(file.missing(ALL)):
        file.write(ALL, values())
    assert torch.equal(file.read(np.asarray(some, dtype=np.int64)), values()[some])


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "uint8"])
def test_every_type_comes_back_as_it_was(tmp_path: Path, dtype: str) -> None:
    layout = replace(LAYOUT, dtype=dtype)
    file, _ = open_rows(tmp_path / "f", layout)
    given_values = (values().float() * 10).abs().to(layout.torch_dtype)
    file.write(ALL, given_values)
    out = torch.empty_like(given_values)
    find_rows(tmp_path / "f", layout, ALL).read_all(ALL, out)  # type: ignore[union-attr]
    assert torch.equal(out, given_values)


def test_a_disk_that_is_full_from_the_first_is_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(folder: Path, layout: Layout) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(rows, "write_manifest", full)
    with pytest.raises(VQAError, match=r"f: the disk became full — free some space") as caught:
        open_rows(tmp_path / "f", LAYOUT)
    assert caught.value.__context__ is None


def test_rows_count_once_they_are_written(tmp_path: Path) -> None:
    folder = tmp_path / "f"
    file, _ = open_rows(folder, LAYOUT)
    some = np.asarray([3, 4, 5, 99])
    file.write(some, values()[some])
    again, _ = open_rows(folder, LAYOUT)
    assert again.missing(ALL).tolist() == [row for row in range(COUNT) if row not in some]
    assert find_rows(folder, LAYOUT, some) is not None
    assert find_rows(folder, LAYOUT, ALL) is None
    assert described(folder) == "small: 4 of 150 rows of 3×5 bfloat16"
    assert (folder / ROWS).stat().st_size == COUNT * 30


def test_other_content_has_another_name() -> None:
    assert replace(LAYOUT, made_from={"store": "b"}).name != LAYOUT.name
    assert replace(LAYOUT, dtype="float16").name != LAYOUT.name


def test_one_changed_byte_is_never_used(full: Path) -> None:
    with (full / ROWS).open("r+b") as file:
        file.seek(7 * 30 + 11)
        file.write(b"\xff")
    found = find_rows(full, LAYOUT, ALL)
    assert found is not None
    assert torch.equal(found.read(np.asarray([6, 8])), values()[[6, 8]])
    with pytest.raises(DamagedRows, match=r"1 rows are damaged \(the first is 7\)") as caught:
        found.read(np.asarray([6, 7, 8]))
    assert caught.value.rows.tolist() == [7]
    mended, _ = open_rows(full, LAYOUT)
    assert mended.missing(ALL).tolist() == [7]
    assert found.verify(np.delete(ALL, 7)).tolist() == []


def test_a_cut_file_loses_its_end_alone(full: Path) -> None:
    os.truncate(full / ROWS, 100 * 30 + 13)
    assert find_rows(full, LAYOUT, ALL[:10]) is None
    file, troubles = open_rows(full, LAYOUT)
    assert len(troubles) == 1
    assert "was cut off; rows from 100 on are made again" in troubles[0]
    assert file.missing(ALL).tolist() == list(range(100, COUNT))
    assert torch.equal(file.read(ALL[:100]), values()[:100])


def test_an_index_of_a_wrong_size_is_not_believed(full: Path) -> None:
    os.truncate(full / INDEX, 77)
    file, troubles = open_rows(full, LAYOUT)
    assert "has a wrong size" in troubles[0]
    assert len(file.missing(ALL)) == COUNT


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "unreadable manifest"),
        ("[1]", "unreadable manifest"),
        ('{"format_version": 1}', "unreadable manifest"),
        ('{"format_version": 99}', "unreadable manifest"),
        (json.dumps(replace(LAYOUT, rows=7).to_json()), "made from something else"),
        (json.dumps(LAYOUT.to_json() | {"dtype": "object"}), "unreadable manifest"),
        (json.dumps(LAYOUT.to_json() | {"shape": [3, "5"]}), "unreadable manifest"),
    ],
)
def test_a_manifest_that_does_not_fit_has_all_made_anew(full: Path, text: str, says: str) -> None:
    (full / MANIFEST).write_text(text)
    assert find_rows(full, LAYOUT, ALL) is None
    file, troubles = open_rows(full, LAYOUT)
    assert says in troubles[0]
    assert len(file.missing(ALL)) == COUNT
    file.write(ALL, values())
    assert find_rows(full, LAYOUT, ALL) is not None


def test_a_chunk_belongs_to_one_process_until_it_dies(tmp_path: Path) -> None:
    file, _ = open_rows(tmp_path / "f", LAYOUT)
    code = (
        "import sys; from pathlib import Path; from tests.data.cache.test_rows import LAYOUT;"
        "from vqa.data.cache.rows import open_rows;"
        f"file, _ = open_rows(Path({str(tmp_path / 'f')!r}), LAYOUT);"
        "print(file.claim(0), file.claim(1), flush=True); sys.stdin.read()"
    )
    root = Path(__file__).parents[3]
    other = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=root,
        env=os.environ | {"PYTHONPATH": str(root)},
    )
    assert other.stdout is not None
    assert other.stdout.readline() == b"True True\n"
    assert not file.claim(0)
    assert file.claim(2)
    other.kill()
    other.communicate()
    assert file.claim(0)


def test_a_damaged_manifest_is_listed_as_unreadable(full: Path) -> None:
    (full / MANIFEST).write_text("{")
    assert described(full).startswith("unreadable (")
    (full / MANIFEST).unlink()
    assert described(full).startswith("unreadable (")


def test_a_manifest_that_cannot_be_read_now_deletes_nothing(
    full: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(folder: Path) -> Layout:
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), str(folder))

    with monkeypatch.context() as patch:
        patch.setattr(layout, "read_manifest", fail)
        assert find_rows(full, LAYOUT, ALL) is None
        with pytest.raises(VQAError, match=r"[Ss]tale"):
            open_rows(full, LAYOUT)
    assert find_rows(full, LAYOUT, ALL) is not None


def test_regions_with_a_damaged_manifest_are_left_to_a_person(tmp_path: Path) -> None:
    regions = replace(LAYOUT, kind="regions")
    folder = tmp_path / regions.name
    open_rows(folder, regions)
    (folder / MANIFEST).write_text("{")
    with pytest.raises(DataError, match=r"unreadable manifest.*bring the regions in again"):
        open_rows(folder, regions)
    assert (folder / ROWS).exists()


def test_where_nothing_can_be_locked_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise it would look as if another process were always at work."""
    file, _ = open_rows(tmp_path / "f", LAYOUT)

    def fail(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    with monkeypatch.context() as patch:
        patch.setattr(rows.fcntl, "lockf", fail)
        with pytest.raises(OSError, match=r"[Ll]ocks"):
            file.claim(0)
