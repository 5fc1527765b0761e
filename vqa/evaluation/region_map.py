"""Attention over regions as a map over the picture."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

CELLS = 48
"""Rows and columns of the map: finer than most boxes, small enough to send."""


def painted(weights: NDArray[np.generic], boxes: NDArray[np.generic]) -> np.ndarray | None:
    """Lay each region's weight on its box; where boxes overlap, the weights are added.

    Args:
        weights: of each region, [glimpses, regions].
        boxes: x1, y1, x2, y2 of each as shares of the picture, more values behind them or none at all:
            [regions, values]. A region of zeros is nowhere.

    Returns:
        [glimpses, rows, columns]; None where there are no boxes.
    """
    if boxes.shape[1] < 4:
        return None
    x1, y1, x2, y2 = (np.asarray(side, dtype=np.float64)[:, None] for side in boxes[:, :4].T)
    across, down = _covered(x1, x2), _covered(y1, y2)
    maps: np.ndarray = np.einsum("gr,ry,rx->gyx", np.asarray(weights, np.float64), down, across)
    return maps


def _covered(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """The share of each cell that lies between two lines, [regions, cells]."""
    edges = np.arange(CELLS + 1, dtype=np.float64) / CELLS
    inner = np.minimum(end, edges[1:]) - np.maximum(start, edges[:-1])
    share: np.ndarray = (inner * CELLS).clip(0, 1)
    return share
