"""Changes to training pictures, on the device, by one gather: mirror, quarter turn, zoom, shift."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Int, UInt8
from torch import Tensor

from vqa.config import Augmentation


def augment(
    images: UInt8[Tensor, "images 3 height width"], config: Augmentation, seed: Sequence[int]
) -> UInt8[Tensor, "images 3 height width"]:
    """Change every picture by its own draw; the same `seed` gives the same pictures on any device."""
    if config == Augmentation():
        return images
    random = np.random.default_rng(seed)
    count, _, height, width = images.shape
    draws = random.random((4, count))
    turned = torch.from_numpy(draws[0] < 0.5).to(images.device, non_blocking=True)
    if (
        config.quarter_turns
    ):  # a transposition and the two flips give all four turns and their mirrors
        images = torch.where(turned[:, None, None, None], images.transpose(2, 3), images)
    flips = config.horizontal_flip, config.vertical_flip
    if config.quarter_turns and any(flips):  # turns and one mirror make the other
        flips = True, True
    flip_x, flip_y = (
        draws[axis + 1] < 0.5 if flips[axis] else np.zeros(count, dtype=bool) for axis in (0, 1)
    )
    if config.quarter_turns and not any(flips):
        flip_x, flip_y = _pure_turns(draws[0] < 0.5, draws[3])
    dy, dx = random.integers(-config.shift, config.shift + 1, (2, count))
    scale = np.exp(random.uniform(-1, 1, count) * np.log1p(config.zoom))
    rows = _positions(height, flip_y, dy, scale).to(images.device, non_blocking=True)
    columns = _positions(width, flip_x, dx, scale).to(images.device, non_blocking=True)
    return _gather(images.permute(0, 2, 3, 1), rows, columns).permute(0, 3, 1, 2)


def _pure_turns(transposed: np.ndarray, draw: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The flips that make a transposition a turn by ±90°, and its absence a turn by 0° or 180°."""
    flip_x = draw < 0.5
    return flip_x, np.where(transposed, ~flip_x, flip_x)


def _positions(
    size: int, flip: np.ndarray, shift: np.ndarray, scale: np.ndarray
) -> Int[Tensor, "images size"]:
    """For every picture the source line of each line; lines from beyond the edge repeat it."""
    middle = (size - 1) / 2
    zoomed = np.rint((np.arange(size) - middle) / scale[:, None] + middle).astype(np.int64)
    lines = np.clip(zoomed + shift[:, None], 0, size - 1)
    return torch.from_numpy(np.where(flip[:, None], size - 1 - lines, lines))


def _gather(
    pictures: UInt8[Tensor, "images height width 3"],
    rows: Int[Tensor, "images height"],
    columns: Int[Tensor, "images width"],
) -> UInt8[Tensor, "images height width 3"]:
    """Of each picture these rows, of them these columns; whole pixels are copied."""
    count, height, width, _ = pictures.shape
    first = torch.arange(count, device=pictures.device)[:, None, None] * height
    pixels = (first + rows[:, :, None]) * width + columns[:, None, :]
    return pictures.reshape(-1, 3).index_select(0, pixels.flatten()).view_as(pictures)
