"""Reading a picture's bytes: plain files within the image folder, and nothing that leads out of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from vqa.data.image import read_image
from vqa.data.record import ImageInput
from vqa.errors import DataError


def test_reads_a_file(tmp_path):
    (tmp_path / "a.png").write_bytes(b"xyz")
    assert read_image(ImageInput(path=tmp_path / "a.png", root=tmp_path)) == b"xyz"
    assert read_image(ImageInput(path=tmp_path / "a.png")) == b"xyz"
    assert read_image(ImageInput(data=b"abc")) == b"abc"


def test_missing_file(tmp_path):
    with pytest.raises(DataError, match=r"a\.png: no such image file"):
        read_image(ImageInput(path=tmp_path / "a.png", root=tmp_path))


def test_nothing_given():
    with pytest.raises(DataError, match="no picture"):
        read_image(ImageInput())


@pytest.fixture
def folder(tmp_path) -> Path:
    (tmp_path / "secret.png").write_bytes(b"xyz")
    (tmp_path / "images" / "inner").mkdir(parents=True)
    return tmp_path / "images"


@pytest.mark.parametrize(
    "name", ["../secret.png", "inner/../../secret.png", "missing/../../secret.png"]
)
def test_dots_out_of_the_folder_are_refused(folder, name):
    with pytest.raises(DataError, match="leads out of the image folder"):
        read_image(ImageInput(path=folder / name, root=folder))


def test_absolute_path_out_of_the_folder_is_refused(folder):
    with pytest.raises(DataError, match="leads out of the image folder"):
        read_image(ImageInput(path=folder / str(folder.parent / "secret.png"), root=folder))


def test_links_out_of_the_folder_are_refused(folder):
    (folder / "file.png").symlink_to(folder.parent / "secret.png")
    (folder / "dir").symlink_to(folder.parent)
    for name in ("file.png", "dir/secret.png"):
        with pytest.raises(DataError, match="leads out of the image folder"):
            read_image(ImageInput(path=folder / name, root=folder))


def test_links_within_the_folder_are_followed(folder):
    (folder / "a.png").write_bytes(b"xyz")
    (folder / "b.png").symlink_to("a.png")
    (folder.parent / "link").symlink_to(folder)
    assert read_image(ImageInput(path=folder / "b.png", root=folder)) == b"xyz"
    root = folder.parent / "link"
    assert read_image(ImageInput(path=root / "b.png", root=root)) == b"xyz"


def test_loop_of_links_is_refused(folder):
    (folder / "a.png").symlink_to("b.png")
    (folder / "b.png").symlink_to("a.png")
    with pytest.raises(DataError):
        read_image(ImageInput(path=folder / "a.png", root=folder))


def test_folder_and_pipe_are_refused(folder):
    os.mkfifo(folder / "pipe.png")
    for name in ("inner", "pipe.png"):
        with pytest.raises(DataError, match="not a plain file"):
            read_image(ImageInput(path=folder / name, root=folder))


def test_large_file_is_not_read(folder):
    with (folder / "a.png").open("wb") as file:
        file.truncate(1 << 32)
    with pytest.raises(DataError, match=r"4,294,967,296 bytes, the limit is .* — scale it down"):
        read_image(ImageInput(path=folder / "a.png", root=folder))


def test_nul_in_a_name_is_refused(folder):
    with pytest.raises(DataError):
        read_image(ImageInput(path=folder / "a\0.png", root=folder))
