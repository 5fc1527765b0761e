"""The options of `vqa prepare sort-of-clevr`."""

from __future__ import annotations

import argparse
from collections.abc import Mapping

from vqa.data.sources.scenes import SortOfClevr
from vqa.errors import InputError

PUBLISHED: Mapping[str, int] = {"train": 9800, "test": 200}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add them."""
    for split, images in PUBLISHED.items():
        parser.add_argument(
            f"--{split}", type=int, default=images, metavar="N",
            help=f"images to {split} on (published and default: {images:,})",
        )  # fmt: skip


def from_args(args: argparse.Namespace) -> SortOfClevr:
    """The source that the command line describes.

    Raises:
        InputError: less than no image in a split, or no image at all.
    """
    images = {split: getattr(args, split) for split in PUBLISHED}
    if not any(images.values()):
        raise InputError("no images", where="--train, --test", fix="ask for 1 or more")
    return SortOfClevr(images, args.seed)
