"""SHAPES: arrays whose channels come blue first, and lines that belong to them."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.data.sources.tiny import good, rows_of, shapes
from vqa.data.record import BadRow
from vqa.errors import DataError


def test_pictures_are_turned_to_red_green_blue(tmp_path: Path) -> None:
    row = good(shapes(tmp_path))[0]
    with Image.open(io.BytesIO(row.image.data or b"")) as picture:
        assert (picture.mode, picture.size) == ("RGB", (30, 30))
        assert picture.getpixel((3, 3)) == (250, 0, 10)


def test_types_are_numbers_of_relations(tmp_path: Path) -> None:
    rows = good(shapes(tmp_path))
    types = [row.example.question_type for row in rows[:3]]
    assert types == ["0 relations", "1 relations", "2 relations"]
    assert [row.example.answers for row in rows[:2]] == [["true"], ["false"]]
    assert {row.example.split for row in rows} == {"train", "val", "test"}


def test_the_training_set_is_the_one_asked_for(tmp_path: Path) -> None:
    words = shapes(tmp_path)
    (tmp_path / "train.tiny.query_str.txt").write_text("a\nb\nc\n")
    assert good(words, "--size", "tiny")[0].example.question == "a"
    for name in tmp_path.glob("*.npy"):
        name.unlink()
    with pytest.raises(DataError, match=r"no train\.med\.input\.npy"):
        rows_of(words, "--size", "med")


@pytest.mark.parametrize(
    ("array", "told"),
    [
        (np.zeros((3, 30, 30), np.uint8), r"not uint8 \[3, 30, 30\]"),
        (np.zeros((3, 30, 30, 3), np.float32), "not float32"),
        (np.zeros((4, 30, 30, 3), np.uint8), "4 pictures for 3 questions"),
        (np.zeros((3, 0, 30, 3), np.uint8), "pictures of 0×30"),
        (np.array([{"a": 1}], dtype=object), "no readable array"),
    ],
)
def test_another_array_is_refused(array: np.ndarray, told: str, tmp_path: Path) -> None:
    words = shapes(tmp_path)
    np.save(tmp_path / "val.input.npy", array)
    with pytest.raises(DataError, match=told):
        rows_of(words)


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY\x01\x00", b"PK\x03\x04", b"x" * 300])
def test_a_damaged_array_is_refused(content: bytes, tmp_path: Path) -> None:
    words = shapes(tmp_path)
    (tmp_path / "val.input.npy").write_bytes(content)
    with pytest.raises(DataError, match=r"val\.input\.npy"):
        rows_of(words)


def test_an_array_that_claims_more_than_its_file_holds_is_refused(tmp_path: Path) -> None:
    words = shapes(tmp_path)
    header = "{'descr': '|u1', 'fortran_order': False, 'shape': (3, 900000, 900000, 3), }"
    text = header.ljust(117) + "\n"
    file = tmp_path / "val.input.npy"
    file.write_bytes(b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode())
    with pytest.raises(DataError, match="no readable array"):
        rows_of(words)


def test_a_truncated_array_is_to_be_fetched_again(tmp_path: Path) -> None:
    words = shapes(tmp_path)
    file = tmp_path / "val.input.npy"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(DataError, match=r"val\.input\.npy: .*truncated.*get the file again"):
        rows_of(words)


def test_an_answer_that_is_none_is_reported(tmp_path: Path) -> None:
    words = shapes(tmp_path)
    (tmp_path / "val.output").write_text("true\nmaybe\nfalse\n")
    bad = [row for row in rows_of(words) if isinstance(row, BadRow)]
    assert [row.reason for row in bad] == ["the answer is 'maybe', true or false was expected"]
    (tmp_path / "val.output").write_text("true\nfalse\n")
    with pytest.raises(DataError, match=r"val\.query_str\.txt 3, val\.output 2"):
        rows_of(words)
