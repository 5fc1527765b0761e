"""What a file says of one picture's regions, checked and brought into one row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vqa.errors import DataError
from vqa.model.image_encoder import BOX_VALUES

AGAIN = "is it the right file? if so, get it again"
OVERHANG = 0.01
"""How far a box may reach beyond its picture, as a share of it: detectors round. What does is cut off."""


@dataclass(frozen=True)
class Found:
    """What a detector found in a picture.

    Attributes:
        features: of each region; float [regions, values].
        boxes: x1, y1, x2, y2 of each in pixels, float [regions, 4]; None where the file has none.
        size: width and height of the picture in pixels; None where the file does not say.
    """

    features: np.ndarray
    boxes: np.ndarray | None
    size: tuple[int, int] | None


@dataclass(frozen=True)
class Record:
    """One picture of a file.

    Attributes:
        image_id: as the file has it.
        where: file, and line or member.
        read: decodes it.
    """

    image_id: str
    where: str
    read: Callable[[], Found]


@dataclass(frozen=True)
class Form:
    """What every row looks like.

    Attributes:
        count: regions a picture; the first ones of a record that has more.
        dim: values of a region's features.
        boxes: the box stands behind them, as shares of the picture.
        pad: fill a record that has fewer with zeros, instead of refusing it.
        dtype: `float16` or `bfloat16`.
    """

    count: int = 36
    dim: int = 2048
    boxes: bool = True
    pad: bool = False
    dtype: str = "float16"

    @property
    def shape(self) -> tuple[int, int]:
        """Of a row."""
        return self.count, self.dim + BOX_VALUES * self.boxes

    def row(self, found: Found, where: str) -> Tensor:
        """A record as a row, [regions, values].

        Raises:
            DataError: it has too few regions, is of another size, or holds what is no number or no box.
        """
        features = _features(found, self, where)
        parts = [features]
        if self.boxes:
            parts.append(_shares(found, self.count, where))
        row = np.zeros(self.shape, dtype=np.float32)
        row[: len(features)] = np.concatenate(parts, axis=1)
        reach = float(np.abs(row).max())
        if reach > torch.finfo(getattr(torch, self.dtype)).max:
            raise DataError(
                f"features reach {reach:.3g}, beyond {self.dtype}",
                where=where,
                fix="use --dtype bfloat16" if self.dtype == "float16" else AGAIN,
            )
        if self.dtype == "float16":  # by NumPy: torch would start threads for so little
            return torch.from_numpy(row.astype(np.float16))
        return torch.from_numpy(row).to(torch.bfloat16)


def _features(found: Found, form: Form, where: str) -> np.ndarray:
    """The first features of a record, float32 [regions, values]."""
    features = found.features
    if features.ndim != 2 or features.shape[1] != form.dim:
        shape = "×".join(map(str, features.shape))
        raise DataError(
            f"features of {shape}, and regions of {form.dim} values were expected",
            where=where,
            fix="is it the right file? --dim says how wide its features are",
        )
    if len(features) < form.count and not form.pad:
        raise DataError(
            f"{len(features)} regions, and {form.count} are wanted",
            where=where,
            fix="ask for fewer with --count, or fill up with zeros: --pad",
        )
    kept = np.asarray(features[: form.count], dtype=np.float32)
    if not np.isfinite(kept).all():
        raise DataError("features that are no numbers", where=where, fix="get the file again")
    return kept


def _shares(found: Found, count: int, where: str) -> np.ndarray:
    """x1, y1, x2, y2, width and height of the first boxes as shares of the picture, [regions, 6].

    Raises:
        DataError: there are none, not one a region, or one that is no box of that picture.
    """
    if found.boxes is None or found.size is None:
        what = "boxes" if found.boxes is None else "size of its picture, by which boxes are kept"
        raise DataError(f"no {what}", where=where, fix="go without them: --no-boxes")
    if found.boxes.shape != (len(found.features), 4):
        shape = "×".join(map(str, found.boxes.shape))
        raise DataError(
            f"boxes of {shape} beside {len(found.features)} regions", where=where, fix=AGAIN
        )
    if min(found.size) <= 0:
        raise DataError(
            f"a picture of {found.size[0]}×{found.size[1]} pixels", where=where, fix=AGAIN
        )
    corners = found.boxes[:count].astype(np.float64) / np.asarray([*found.size, *found.size])
    _check_boxes(corners, found.boxes, where)
    corners = corners.clip(0, 1)
    return np.concatenate((corners, corners[:, 2:] - corners[:, :2]), axis=1).astype(np.float32)


def _check_boxes(corners: np.ndarray, boxes: np.ndarray, where: str) -> None:
    finite = np.isfinite(corners).all(1)
    ordered = (corners[:, 2:] >= corners[:, :2]).all(1)
    inside = ((corners >= -OVERHANG) & (corners <= 1 + OVERHANG)).all(1)
    faults = (
        (finite, "is no numbers"),
        (ordered, "has a negative size"),
        (inside, "lies outside of its picture"),
    )
    for fine, fault in faults:
        if not fine.all():
            bad = int(np.flatnonzero(~fine)[0])
            said = ", ".join(f"{value:g}" for value in boxes[bad])
            raise DataError(f"box {bad} ({said}) {fault}", where=where, fix=AGAIN)
