"""One NumPy archive a picture, named by it, in a folder: `COCO_train2014_000000000009.jpg.npz`.

    x         features, [regions, values] or [values, regions]; `features` or `feat` in some
    bbox      x1, y1, x2, y2 in pixels, [regions, 4]; `boxes` in some
    image_w, image_h   or `width`, `height`
    num_bbox  number of regions, where the file has it

openvqa reads `x` transposed (openvqa/datasets/vqa/vqa_loader.py of github.com/MILVLG/openvqa), as
tools/extract_feature_to_npz.py of github.com/peteanderson80/bottom-up-attention writes it; its script for GQA
(data/gqa/gqa_feat_preproc.py) writes it upright, with `width` and `height`. Other members are not read: some are
pickled, and nothing pickled is ever loaded.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from vqa.data.regions.record import AGAIN, Found, Record
from vqa.errors import DataError

ENDING = ".npz"
FEATURES, BOXES = ("x", "features", "feat"), ("bbox", "boxes")
WIDTH, HEIGHT, COUNT = ("image_w", "width"), ("image_h", "height"), ("num_bbox", "num_boxes")

BROKEN = (
    *(OSError, ValueError, EOFError, MemoryError, zipfile.BadZipFile, zlib.error),
    *(NotImplementedError, RuntimeError),  # zipfile's: an unknown compression, a password
)


def npz_records(path: Path, dim: int) -> Iterator[Record]:
    """Every archive of a folder and the folders in it, by name; or the one that `path` is.

    Args:
        dim: values of a region, by which an array that lies on its side is told.

    Raises:
        DataError: there is none.
    """
    files = sorted(path.rglob(f"*{ENDING}")) if path.is_dir() else [path]
    if not files:
        raise DataError(f"no {ENDING} file here", where=str(path), fix="is it the right folder?")
    for file in files:
        yield Record(file.name.removesuffix(ENDING), str(file), partial(_found, file, dim))


def _found(file: Path, dim: int) -> Found:
    try:
        with file.open("rb") as opened:  # NumPy leaves a damaged one open
            members = np.load(opened, allow_pickle=False)
            if not isinstance(members, np.lib.npyio.NpzFile):
                raise ValueError("one array alone")
            with members:
                return _read(members, dim, str(file))
    except BROKEN as error:
        raise DataError(
            f"truncated or no archive of plain arrays ({error})",
            where=str(file),
            fix="get the file again",
        ) from error


def _read(members: Mapping[str, Any], dim: int, where: str) -> Found:
    features, boxes = _array(members, FEATURES), _array(members, BOXES)
    if features is None:
        raise DataError(
            f"no member {' or '.join(FEATURES)}; it has {', '.join(members) or 'none'}",
            where=where,
            fix=AGAIN,
        )
    features = _upright(np.atleast_1d(features), dim, where)
    count = _array(members, COUNT)
    if count is not None and (count.size != 1 or int(count) != len(features)):
        said = ", ".join(f"{value:g}" for value in count.flat[:3]) or "empty"
        what = f"{COUNT[0]} is {said}, and x has {len(features)} regions"
        raise DataError(what, where=where, fix=AGAIN)
    return Found(features, boxes, _size(members, where))


def _array(members: Mapping[str, Any], names: tuple[str, ...]) -> np.ndarray | None:
    """The first of some members that is there; numbers alone.

    Raises:
        ValueError: it holds something else.
    """
    name = next((name for name in names if name in members), None)
    if name is None:
        return None
    array = np.asarray(members[name])
    if array.dtype.kind not in "iuf":
        raise ValueError(f"{name} holds {array.dtype}, not numbers")
    return array


def _upright(features: np.ndarray, dim: int, where: str) -> np.ndarray:
    """[regions, values], whichever way it lay."""
    if features.shape == (dim, dim):
        raise DataError(
            f"x of {dim}×{dim} does not tell regions from values", where=where, fix="transpose it"
        )
    lies = features.ndim == 2 and features.shape[0] == dim
    return features.T if lies else features


def _size(members: Mapping[str, Any], where: str) -> tuple[int, int] | None:
    sides = _array(members, WIDTH), _array(members, HEIGHT)
    if sides[0] is None or sides[1] is None:
        return None
    if any(side is None or side.size != 1 or not np.isfinite(side).all() for side in sides):
        raise DataError(f"{WIDTH[0]} and {HEIGHT[0]} are one number each", where=where, fix=AGAIN)
    return int(sides[0].item()), int(sides[1].item())
