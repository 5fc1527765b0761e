"""TDIUC (Kafle and Kanan 2017, arXiv 1703.09684): twelve kinds of question, one of them absurd.

FOLDER/Questions/OpenEnded_mscoco_{train,val}2014_questions.json and
FOLDER/Annotations/mscoco_{train,val}2014_annotations.json are VQA files with one answer a question
and a `question_type` of color, counting, object_presence, scene_recognition, …, absurd (the question
does not fit the picture and is answered "doesnotapply"). Pictures: FOLDER/Images/{train,val}2014.
The layout is that of TDIUC.zip, as public readers of it have it (Cadene/block.bootstrap.pytorch).
"""

from __future__ import annotations

import argparse
from pathlib import Path

from vqa.data.sources.given import add_images, images_given
from vqa.data.sources.layouts import nothing_here
from vqa.data.sources.vqa import VQA, Part

SPLITS = ("train", "val")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `vqa prepare tdiuc`."""
    parser.description = "TDIUC: its folder; question types as published, `absurd` among them."
    parser.add_argument(
        "folder", type=Path, metavar="FOLDER", help="holds Questions, Annotations and Images"
    )
    add_images(parser, "holds train2014 and val2014 (default: FOLDER/Images)")


def from_args(args: argparse.Namespace) -> VQA:
    """The source that the command line describes.

    Raises:
        DataError: no questions here.
        InputError: no pictures.
    """
    images = images_given(args, "tdiuc", args.folder / "Images")
    parts = [
        Part(questions, _annotations(args.folder, split), _pictures(images, split), split)
        for split in SPLITS
        if (questions := _questions(args.folder, split)).is_file()
    ]
    if not parts:
        raise nothing_here(
            args.folder,
            f"no {_questions(args.folder, 'train').relative_to(args.folder)} here",
            "give the unpacked folder of TDIUC.zip",
        )
    return VQA(parts)


def _pictures(images: Path | None, split: str) -> Path | None:
    """The folder of a split's pictures; all of them where there is none a split."""
    own = None if images is None else images / f"{split}2014"
    return own if own is not None and own.is_dir() else images


def _questions(folder: Path, split: str) -> Path:
    return folder / "Questions" / f"OpenEnded_mscoco_{split}2014_questions.json"


def _annotations(folder: Path, split: str) -> Path:
    return folder / "Annotations" / f"mscoco_{split}2014_annotations.json"
