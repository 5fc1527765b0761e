"""The options of `vqa prepare sort-of-clevr`."""

from __future__ import annotations

import argparse
from collections.abc import Mapping

from vqa.data.sources.scenes import SortOfClevr
from vqa.errors import InputError

PUBLISHED: Mapping[str, int] = {"train": 9800, "test": 200}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add them."""
    parser.add_argument(
        "--images", type=int, default=sum(PUBLISHED.values()), metavar="N",
        help="98 %% of them to train on, 2 %% to test on (published and default: 10,000)",
    )  # fmt: skip
    for split in PUBLISHED:
        parser.add_argument(
            f"--{split}", type=int, metavar="N", help=f"images to {split} on, instead"
        )
    parser.add_argument(
        "--questions", choices=("sentences", "codes"), default="sentences",
        help="codes: two words, what is asked and the colour, as published without language",
    )  # fmt: skip


def from_args(args: argparse.Namespace) -> SortOfClevr:
    """The source that the command line describes.

    Raises:
        InputError: less than no image in a split, or no image at all.
    """
    test = args.images // 50
    images = {"train": args.images - test, "test": test}
    given = {split: getattr(args, split) for split in PUBLISHED}
    images |= {split: count for split, count in given.items() if count is not None}
    if not any(images.values()):
        raise InputError("no images", where="--images", fix="ask for 1 or more")
    return SortOfClevr(images, args.seed, coded=args.questions == "codes")
