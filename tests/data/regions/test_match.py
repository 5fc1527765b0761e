"""Which picture a record is of."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.data.conftest import Maker, Rows, picture
from vqa.data.prepare import prepare
from vqa.data.regions.match import Pictures
from vqa.data.store import Store


def store_of(path: Path, *ids: str, text_only: bool = False) -> Store:
    make = Maker()
    rows = [make.row(image_id=image_id, image=picture(size=(64, 48))) for image_id in ids]
    return prepare(Rows(rows), path, name="made", text_only=text_only)


@pytest.mark.parametrize(
    ("stored", "recorded"),
    [
        ("262148", "262148"),
        ("262148", "COCO_val2014_000000262148"),
        ("262148", "COCO_val2014_000000262148.jpg"),
        ("262148", "000000262148"),
        ("COCO_val2014_000000262148.jpg", "262148"),
        ("COCO_val2014_000000262148", "COCO_val2014_000000262148.jpg"),
        ("VizWiz_val_00000007.jpg", "VizWiz_val_00000007"),
        ("n161313", "n161313"),
    ],
)
def test_ids_that_are_the_same(stored: str, recorded: str, tmp_path: Path) -> None:
    pictures = Pictures(store_of(tmp_path / "s", "5", stored))
    assert pictures.row(recorded) == 1


@pytest.mark.parametrize(
    ("stored", "recorded"),
    [("262148", "26214"), ("val-000005", "5"), ("n161313", "161313"), ("photo_5.jpg", "5")],
)
def test_ids_that_are_not(stored: str, recorded: str, tmp_path: Path) -> None:
    assert Pictures(store_of(tmp_path / "s", stored)).row(recorded) is None


def test_what_could_be_two_is_none_but_by_its_own_id(tmp_path: Path) -> None:
    pictures = Pictures(store_of(tmp_path / "s", "cat.jpg", "cat.png", "0012", "012"))
    assert [pictures.row(name) for name in ("cat", "12", "cat.png", "012")] == [None, None, 1, 3]


def test_another_shape_is_told(tmp_path: Path) -> None:
    pictures = Pictures(store_of(tmp_path / "s", "5"))
    assert pictures.another_shape(0, (640, 480)) is None
    assert pictures.another_shape(0, (641, 480)) is None
    assert pictures.another_shape(0, None) is None
    assert pictures.another_shape(0, (480, 640)) == (
        "of a picture of 480×640, and the store's has 64×48"
    )
    blind = Pictures(store_of(tmp_path / "text", "5", text_only=True))
    assert blind.another_shape(0, (480, 640)) is None
