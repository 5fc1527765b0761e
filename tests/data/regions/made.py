"""Files of regions in their published layouts, made of random numbers."""

from __future__ import annotations

import base64
import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

DIM = 5


class Made(NamedTuple):
    """What a detector might have found: features [n, DIM] and boxes [n, 4], float32, in a picture."""

    image_id: str
    features: np.ndarray
    boxes: np.ndarray
    size: tuple[int, int] = (64, 64)


def detect(image_id: str, count: int = 4, seed: int = 0, size: tuple[int, int] = (64, 64)) -> Made:
    """The same for the same arguments."""
    random = np.random.default_rng([seed, *image_id.encode()])
    corners = random.uniform(0, 1, (count, 4)) * [*size, *size]
    boxes = np.concatenate(
        (corners.reshape(count, 2, 2).min(1), corners.reshape(count, 2, 2).max(1)), 1
    )
    return Made(image_id, random.normal(size=(count, DIM)).astype("<f4"), boxes.astype("<f4"), size)


def detect_all(ids: Iterable[str], count: int = 4, seed: int = 0) -> list[Made]:
    """One of each picture."""
    return [detect(image_id, count, seed) for image_id in ids]


def columns(made: Made, *, lxmert: bool = False) -> list[str]:
    """A line of either kind, column by column."""
    boxes, features = (base64.b64encode(a.tobytes()).decode() for a in (made.boxes, made.features))
    width, height, count = str(made.size[0]), str(made.size[1]), str(len(made.features))
    if not lxmert:
        return [made.image_id, width, height, count, boxes, features]
    confidence = base64.b64encode(np.ones(len(made.features), "<f4").tobytes()).decode()
    return [made.image_id, height, width, *[confidence] * 4, count, boxes, features]


def tsv_text(found: Sequence[Made], *, lxmert: bool = False) -> bytes:
    """As csv.DictWriter writes it, line ends included."""
    text = io.StringIO()
    csv.writer(text, delimiter="\t").writerows(columns(one, lxmert=lxmert) for one in found)
    return text.getvalue().encode()


def write_tsv(path: Path, found: Sequence[Made], *, lxmert: bool = False) -> Path:
    path.write_bytes(tsv_text(found, lxmert=lxmert))
    return path


def write_npz(folder: Path, found: Sequence[Made], *, upright: bool = False) -> Path:
    """openvqa's folder of COCO pictures, features on their side; upright as its script for GQA writes them."""
    folder.mkdir(parents=True, exist_ok=True)
    for one in found:
        sides = ("width", "height") if upright else ("image_w", "image_h")
        extra = {} if upright else {"num_bbox": len(one.features)}
        features = one.features if upright else one.features.T
        np.savez(
            folder / f"{one.image_id}.npz",
            x=features, bbox=one.boxes, **dict(zip(sides, one.size, strict=True)), **extra,
        )  # fmt: skip
    return folder


def expected(made: Made, count: int) -> np.ndarray:
    """A row by the definition: features, then x1, y1, x2, y2, width, height as shares; float16."""
    rows = []
    for features, box in zip(made.features[:count], made.boxes[:count], strict=True):
        x1, y1, x2, y2 = (float(v) / made.size[k % 2] for k, v in enumerate(box))
        rows.append([*features, x1, y1, x2, y2, x2 - x1, y2 - y1])
    rows += [[0.0] * (DIM + 6)] * (count - len(rows))
    return np.asarray(rows, dtype=np.float32).astype(np.float16)
