"""What a published folder looks like, for the message about one given by mistake."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from vqa.errors import DataError


class Kind(NamedTuple):
    """A published folder.

    Attributes:
        pattern: a file that only it has.
        name: what it is, in words.
        source: what reads it; "" where nothing does.
    """

    pattern: str
    name: str
    source: str = ""


_KINDS = (
    Kind("train/questions.json", "easy-VQA", "easy-vqa"),
    Kind("images/*/*_0000.png", "PuzzleVQA", "puzzle-vqa"),
    Kind("dev/dev.json", "NLVR", "nlvr"),
    Kind("test1.json", "NLVR2 (a sentence about two photographs)"),
    Kind("questions/CLEVR_*_questions.json", "CLEVR", "clevr"),
    Kind("CLEVR-Humans-*.json", "CLEVR-Humans (questions of people, without programs)"),
    Kind("superCLEVR_*.json", "Super-CLEVR (vehicles)"),
    Kind("*_balanced_questions.json", "GQA", "gqa"),
    Kind("*_sceneGraphs.json", "GQA's scene graphs (the objects, not the questions)"),
    Kind("train/img_ids.txt", "COCO-QA", "coco-qa"),
    Kind("*.input.npy", "SHAPES", "shapes"),
    Kind("imgs/xmlab*", "SLAKE", "slake"),
    Kind("Questions/OpenEnded_*", "TDIUC", "tdiuc"),
)


def nothing_here(folder: Path, what: str, fix: str) -> DataError:
    """The error about a folder without the files that were looked for; it says what the folder looks like.

    Args:
        folder: as it was given.
        what: as in "no train.json here".
        fix: what to give, for a folder that looks like nothing known.
    """
    where = str(folder)
    if not folder.exists():
        return DataError("no such folder", where=where, fix=fix)
    if not folder.is_dir():
        return DataError("this is a file, a folder is needed", where=where, fix=fix)
    kind = next((kind for kind in _KINDS if any(folder.glob(kind.pattern))), None)
    if kind is None:
        return DataError(what, where=where, fix=fix)
    if kind.source:
        fix = f"vqa prepare {kind.source} {folder} --to STORE"
    return DataError(f"{what}; it looks like {kind.name}", where=where, fix=fix)
