"""Files of regions: what is read is what was written, and what cannot be used says where and why."""

from __future__ import annotations

import base64
import gzip
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.data.regions.made import (
    DIM,
    Made,
    columns,
    detect,
    detect_all,
    expected,
    tsv_text,
    write_npz,
    write_tsv,
)
from vqa.data.regions.files import read_one, records
from vqa.data.regions.record import Form, Found
from vqa.errors import DataError

FOUND = detect_all(["9", "COCO_val2014_000000000042", "n161313"])
FORM = Form(count=4, dim=DIM)


def plain(folder: Path) -> Path:
    return write_tsv(folder / "f.tsv", FOUND)


def lxmert(folder: Path) -> Path:
    return write_tsv(folder / "f.tsv", FOUND, lxmert=True)


def gzipped(folder: Path) -> Path:
    (folder / "f.tsv.gz").write_bytes(gzip.compress(tsv_text(FOUND)))
    return folder / "f.tsv.gz"


def zipped(folder: Path) -> Path:
    with zipfile.ZipFile(folder / "f.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("trainval/readme.txt", "regions")
        archive.writestr("trainval/a.tsv", tsv_text(FOUND[:1]))
        archive.writestr("trainval/a.tsv.1", tsv_text(FOUND[1:]))
    return folder / "f.zip"


def lying(folder: Path) -> Path:
    return write_npz(folder / "npz", FOUND)


def upright(folder: Path) -> Path:
    return write_npz(folder / "npz", FOUND, upright=True)


KINDS = [plain, lxmert, gzipped, zipped, lying, upright]
Kind = Callable[[Path], Path]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_kind_gives_the_same(kind: Kind, tmp_path: Path) -> None:
    read = {one.image_id: one for one in records(kind(tmp_path), DIM)}
    assert read.keys() == {one.image_id for one in FOUND}
    for made in FOUND:
        record = read[made.image_id]
        row = FORM.row(record.read(), record.where)
        assert np.array_equal(row.numpy(), expected(made, 4))


@given(
    count=st.integers(1, 6),
    wanted=st.integers(1, 8),
    size=st.tuples(st.integers(1, 5000), st.integers(1, 5000)),
    seed=st.integers(0, 99),
    on_its_side=st.booleans(),
)
def test_any_record_comes_back(
    tmp_path_factory: pytest.TempPathFactory,
    count: int,
    wanted: int,
    size: tuple[int, int],
    seed: int,
    on_its_side: bool,
) -> None:
    """First regions kept, missing ones zeros; the same by either kind of file."""
    made = detect("any", count, seed, size)
    folder = tmp_path_factory.mktemp("any")
    form = Form(count=wanted, dim=DIM, pad=True)
    row = read_one(write_tsv(folder / "f.tsv", [made]), form)
    assert np.allclose(row.numpy(), expected(made, wanted), atol=1e-3)
    if count != DIM:
        write_npz(folder, [made], upright=not on_its_side)
        assert read_one(folder / "any.npz", form).equal(row)


def read_all(path: Path) -> list[torch.Tensor]:
    return [FORM.row(record.read(), record.where) for record in records(path, DIM)]


def changed(column: int, value: str) -> Callable[[list[str]], list[str]]:
    return lambda line: [*line[:column], value, *line[column + 1 :]]


def encoded(array: np.ndarray) -> str:
    return base64.b64encode(array.astype("<f4").tobytes()).decode()


NAN = np.full((4, DIM), np.nan)
SPOILT = {
    "damaged base64": (changed(5, "@@@@"), "line 2: features: damaged base64"),
    "cut in a value": (lambda line: [*line[:5], line[5][:-3]], "line 2: features: damaged base64"),
    "wrong length": (changed(5, encoded(np.ones(7))), "line 2: features: 28 bytes do not divide among 4"),
    "no value": (changed(5, ""), "line 2: features: 0 bytes"),
    "too narrow": (changed(5, encoded(np.ones(8))), "line 2: features of 4×2, and regions of 5 values"),
    "not a number": (changed(5, encoded(NAN)), "line 2: features that are no numbers"),
    "cut between values": (lambda line: line[:4], "line 2: 4 columns separated by tabs, and 6 or 10"),
    "no count": (changed(3, "four"), "line 2: num_boxes: 'four' is no whole number"),
    "negative count": (changed(3, "-4"), "line 2: num_boxes is -4"),
    "negative picture": (changed(1, "-64"), "line 2: a picture of -64×64 pixels"),
    "infinite box": (changed(4, encoded(np.full((4, 4), np.inf))), "line 2: box 0 .* is no numbers"),
    "negative box": (
        changed(4, encoded(np.tile([9, 9, 3, 20], (4, 1)))),
        r"line 2: box 0 \(9, 9, 3, 20\) has a negative size",
    ),
    "box outside": (
        changed(4, encoded(np.tile([9, 9, 80, 20], (4, 1)))),
        "line 2: box 0 .* lies outside of its picture",
    ),
    "boxes of another count": (changed(4, encoded(np.ones(4))), r"line 2: boxes of 4×1 beside 4 regions"),
    "overflow": (changed(5, encoded(np.full((4, DIM), 1e6))), "line 2: features reach 1e.06, beyond float16"),
}  # fmt: skip


@pytest.mark.parametrize("name", SPOILT)
def test_a_spoilt_line_says_where_and_why(name: str, tmp_path: Path) -> None:
    spoil, says = SPOILT[name]
    lines = [columns(one) for one in FOUND]
    lines[1] = spoil(lines[1])
    file = tmp_path / "f.tsv"
    file.write_text("".join("\t".join(line) + "\r\n" for line in lines))
    with pytest.raises(DataError, match=says) as caught:
        read_all(file)
    assert str(file) in str(caught.value)


def test_too_few_regions_are_refused_with_both_numbers(tmp_path: Path) -> None:
    file = write_tsv(tmp_path / "f.tsv", [detect("1", 3)])
    with pytest.raises(DataError, match=r"line 1: 3 regions, and 4 are wanted — .*--pad"):
        read_one(file, FORM)
    padded = read_one(file, Form(4, DIM, pad=True))
    assert not padded[3].any()
    assert padded[:3].any(1).all()


def test_rounded_boxes_are_cut_off_at_the_picture() -> None:
    boxes = np.asarray([[-0.3, 0, 64.3, 64]], dtype="<f4")
    row = Form(1, DIM).row(Found(np.ones((1, DIM), "<f4"), boxes, (64, 64)), "")
    assert row[0, DIM:].tolist() == [0, 0, 1, 1, 1, 1]


@pytest.mark.parametrize("cut", [10, 200])
@pytest.mark.parametrize("kind", [gzipped, zipped, lying], ids=lambda kind: kind.__name__)
def test_a_cut_archive(kind: Kind, cut: int, tmp_path: Path) -> None:
    path = kind(tmp_path)
    file = next(path.glob("*")) if path.is_dir() else path
    data = file.read_bytes()
    file.write_bytes(data[:-cut])
    with pytest.raises(DataError, match="truncated") as caught:
        read_all(path)
    assert str(file) in str(caught.value)


def test_what_is_no_file_of_regions(tmp_path: Path) -> None:
    cases = {
        "f.hdf5": "HDF5 files of regions are not read",
        "train36_imgid2idx.pkl": "nothing pickled is ever loaded",
        "photo.tsv": "columns separated by tabs",
        "f.npz": "truncated or no archive of plain arrays",
    }
    for name, says in cases.items():
        (tmp_path / name).write_bytes(b"\x80\x04K\x01." * 9)
        with pytest.raises(DataError, match=says):
            read_all(tmp_path / name)
    np.save(tmp_path / "one.npy", np.ones(3))
    (tmp_path / "one.npy").rename(tmp_path / "one.npz")
    with pytest.raises(DataError, match="one array alone"):
        read_all(tmp_path / "one.npz")
    with pytest.raises(DataError, match="no such file"):
        records(tmp_path / "nothing.tsv", DIM)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"no .npz file here"):
        list(records(tmp_path / "empty", DIM))
    with zipfile.ZipFile(tmp_path / "f.zip", "w") as archive:
        archive.writestr("a.txt", "")
    with pytest.raises(DataError, match="no member of this archive"):
        list(records(tmp_path / "f.zip", DIM))


def test_a_line_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vqa.data.regions.tsv.LONGEST", 1000)
    (tmp_path / "f.tsv").write_bytes(b"a" * 2000)
    with pytest.raises(DataError, match="line 1: a line of more than 1,000 bytes"):
        list(records(tmp_path / "f.tsv", DIM))


class Trap:
    """Leaves a mark where it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return (Path.touch, (self.mark,))


MEMBERS: dict[str, tuple[dict[str, np.ndarray], str]] = {
    "no features": ({"y": np.ones(3)}, "no member x or features or feat; it has y"),
    "text": ({"x": np.asarray([["a"]])}, "x holds <U1, not numbers"),
    "square": ({"x": np.ones((DIM, DIM))}, "does not tell regions from values"),
    "another count": ({"x": np.ones((4, DIM)), "num_bbox": np.asarray(5)}, "num_bbox is 5, and x has 4"),
    "counts": ({"x": np.ones((4, DIM)), "num_bbox": np.ones((9, 9))}, "num_bbox is 1, 1, 1, and x has 4"),
    "one number": ({"x": np.asarray(3.0), "num_bbox": np.asarray(4)}, "num_bbox is 4, and x has 1"),
    "flat": ({"x": np.ones(DIM * 4)}, "features of 20, and regions of 5 values"),
    "no boxes": ({"x": np.ones((4, DIM))}, "no boxes — .*--no-boxes"),
    "no size": ({"x": np.ones((4, DIM)), "bbox": np.ones((4, 4))}, "no size of its picture"),
    "two sizes": (
        {"x": np.ones((4, DIM)), "image_w": np.ones(2), "image_h": np.ones(2)}, "are one number each",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MEMBERS)
def test_a_spoilt_archive_says_where_and_why(name: str, tmp_path: Path) -> None:
    members, says = MEMBERS[name]
    np.savez(tmp_path / "7.npz", **members)
    with pytest.raises(DataError, match=says) as caught:
        read_one(tmp_path / "7.npz", FORM)
    assert "7.npz" in str(caught.value)


def test_nothing_pickled_is_loaded(tmp_path: Path) -> None:
    """A pickled member beside the features is left alone, one in their place is refused."""
    made, mark = detect("7"), tmp_path / "mark"
    trap = np.asarray([Trap(mark)], dtype=object)
    np.savez(
        tmp_path / "7.npz", x=made.features, bbox=made.boxes, image_w=64, image_h=64, info=trap
    )
    assert np.array_equal(read_one(tmp_path / "7.npz", FORM).numpy(), expected(made, 4))
    np.savez(tmp_path / "8.npz", x=trap)
    with pytest.raises(DataError, match="no archive of plain arrays"):
        read_one(tmp_path / "8.npz", FORM)
    assert not mark.exists()


def test_one_picture_is_one(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="more than one picture"):
        read_one(write_tsv(tmp_path / "f.tsv", FOUND), FORM)
    (tmp_path / "none.tsv").write_bytes(b"\n")
    with pytest.raises(DataError, match="no picture"):
        read_one(tmp_path / "none.tsv", FORM)


def test_without_boxes_a_row_has_features_alone() -> None:
    made: Made = FOUND[0]
    row = Form(2, DIM, boxes=False).row(Found(made.features, None, None), "")
    assert np.array_equal(row.numpy(), made.features[:2].astype(np.float16))


@pytest.mark.parametrize("field", [6, 8], ids=["a password", "an unknown compression"])
def test_an_archive_that_zip_cannot_open_is_damaged(field: int, tmp_path: Path) -> None:
    """Its flags, and its method, stand two bytes further on in the directory than before the member."""
    file = next(write_npz(tmp_path / "n", FOUND[:1]).glob("*.npz"))
    content = bytearray(file.read_bytes())
    value = 1 if field == 6 else 99
    for start, shift in ((content.find(b"PK\3\4"), 0), (content.find(b"PK\1\2"), 2)):
        content[start + field + shift] = value
    file.write_bytes(content)
    with pytest.raises(DataError, match="no archive of plain arrays"):
        next(iter(records(file, DIM))).read()
