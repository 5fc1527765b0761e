"""The options of `vqa prepare sort-of-clevr`."""

from __future__ import annotations

import argparse

from vqa.data.sources.scenes import SortOfClevr
from vqa.errors import InputError

PUBLISHED = 10_000


def configure(parser: argparse.ArgumentParser) -> None:
    """Add them."""
    parser.add_argument(
        "--images", type=int, default=PUBLISHED, metavar="N",
        help="98 %% of them to train on, 2 %% to test (default, as published: 9,800 and 200)",
    )  # fmt: skip


def from_args(args: argparse.Namespace) -> SortOfClevr:
    """The source that the command line describes.

    Raises:
        InputError: too few images.
    """
    if args.images < 2:
        raise InputError(f"{args.images} images", where="--images", fix="ask for 2 or more")
    test = max(1, args.images // 50)
    return SortOfClevr({"train": args.images - test, "test": test}, args.seed)
