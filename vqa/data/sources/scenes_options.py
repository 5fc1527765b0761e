"""The options of `vqa prepare scenes`."""

from __future__ import annotations

import argparse

from vqa.data.sources.scenes import DEFAULT_LEVEL, LEVELS, Scenes, split_by_image
from vqa.errors import InputError


def configure(parser: argparse.ArgumentParser) -> None:
    """Add them."""
    parser.add_argument(
        "--images", type=int, default=10_000, metavar="N",
        help="80 %% of them to train on, 10 %% each to validate and to test (default 10,000)",
    )  # fmt: skip
    parser.add_argument(
        "--level", default=DEFAULT_LEVEL, metavar="LEVEL",
        help=f"{', '.join(LEVELS)} (default {DEFAULT_LEVEL})",
    )  # fmt: skip
    parser.add_argument("--questions-per-image", type=int, default=6, metavar="N", help="default 6")


def from_args(args: argparse.Namespace) -> Scenes:
    """The source that the command line describes.

    Raises:
        InputError: no such level, or a number below its range.
    """
    if args.images < 1:
        raise InputError(f"{args.images} images", where="--images", fix="ask for 1 or more")
    images = split_by_image(args.images)
    return Scenes(images, args.level, args.seed, args.questions_per_image)
