"""Where each position of a grid is, as numbers to put behind its channels."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor


def grid_coordinates(grid: tuple[int, int]) -> Float[Tensor, "1 positions 2"]:
    """x (left −1, right 1) and y (top −1, bottom 1) of each position, row by row.

    Along a side of one position it is 0.
    """
    height, width = grid
    y, x = torch.meshgrid(_even(height), _even(width), indexing="ij")
    return torch.stack((x, y), dim=2).view(1, height * width, 2)


def grid_waves(grid: tuple[int, int], octaves: int) -> Float[Tensor, "1 positions waves"]:
    """Sines and cosines of x and y (see `grid_coordinates`), each octave of twice the frequency.

    The first goes through half a wave from side to side: sin and cos of πx/2, πy/2, πx, πy, 2πx, …
    (Vaswani et al. 2017 in two dimensions; Mildenhall et al. 2020).
    """
    places = grid_coordinates(grid)
    angles = [places * (math.pi * 2.0 ** (octave - 1)) for octave in range(octaves)]
    waves = [wave for angle in angles for wave in (angle.sin(), angle.cos())]
    return torch.cat((places[:, :, :0], *waves), dim=2)


def _even(steps: int) -> Tensor:
    """Made on the CPU, also for a network without memory: there torch would load its compiler first."""
    if steps == 1:
        return torch.zeros(1, device="cpu")
    return torch.linspace(-1, 1, steps, device="cpu")
