"""What the command lines of several sources share: files and folders given, and the folder of pictures."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

from vqa.errors import DataError, InputError


def add_images(parser: argparse.ArgumentParser, what: str) -> None:
    """Add --images."""
    parser.add_argument("--images", type=Path, metavar="DIR", help=what)


def images_given(args: argparse.Namespace, source: str, default: Path | None = None) -> Path | None:
    """The folder of pictures; None where no picture is to be read.

    Args:
        args: has `images`, and `text_only` where `vqa prepare` runs.
        source: as it is called on the command line.
        default: where pictures lie in the published folder.

    Raises:
        DataError: what was given to be read is not there.
        InputError: pictures are wanted and no folder of them is there.
    """
    check_there(getattr(args, "inputs", None) or [args.folder])
    if getattr(args, "text_only", False):
        return None
    images: Path | None = args.images or default
    if images is None or not images.is_dir():
        raise InputError(
            "no --images" if images is None else f"no folder of pictures at {images}",
            where=f"vqa prepare {source}",
            fix="give the folder of the pictures with --images, or --text-only",
        )
    return images


def check_there(inputs: Iterable[str | Path]) -> None:
    """Refuse files and folders that are not there, before anything is said of pictures.

    Args:
        inputs: as they were given; some may be SPLIT=FILE.

    Raises:
        DataError: the first that is not there.
    """
    for given in inputs:
        path = Path(given)
        if not path.exists():
            path = Path(str(given).rpartition("=")[2])
        if not path.exists():
            raise DataError("no such file or folder", where=str(path), fix="check the path")
