"""What the command lines of several sources share: files and folders given, where pictures lie."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from vqa.data.record import ImageInput
from vqa.data.sources.files import all_lines
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


def picture_in(root: Path | None, name: str) -> ImageInput:
    """The picture of that name, which may not leave `root`; nothing where there is no folder."""
    return ImageInput() if root is None else ImageInput(path=root / name, root=root)


def parallel_lines(files: Sequence[Path]) -> Iterator[tuple[int, list[str]]]:
    """The k-th lines of files that belong together, with k from 1; blanks at both ends are gone.

    Raises:
        DataError: a file is unreadable, or they differ in length; the message has the lengths.
    """
    lines = [all_lines(file) for file in files]
    counts = [len(found) for found in lines]
    if len(set(counts)) > 1:
        told = ", ".join(f"{file.name} {n:,}" for file, n in zip(files, counts, strict=True))
        raise DataError(
            f"the files differ in their numbers of lines ({told})",
            where=str(files[0].parent),
            fix="get them again, all of one version",
        )
    for number, together in enumerate(zip(*lines, strict=True), start=1):
        yield number, list(together)
