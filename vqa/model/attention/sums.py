"""Weighted sums over the grids of a batch, without a copy of its grid for every question."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

MOST_PADDING = 4
"""Rows of weights that may be made for each row that there is."""


def weighted_sums(
    weights: Float[Tensor, "batch glimpses positions"],
    grid: Float[Tensor, "images positions channels"],
    image_of_question: Int[Tensor, " batch"],
) -> Float[Tensor, "batch glimpses channels"]:
    """Σₚ wₚ vₚ for each glimpse of each question.

    On a CPU the weights of an image's questions stand together, padded to the most questions that an image has, so
    that its grid is read once where it lies. A GPU would wait to learn that number, and its copies are cheap; there,
    and where a few images have nearly all questions, each question gets a copy.
    """
    weights = weights.to(grid.dtype)
    if grid.device.type == "cpu" and len(weights):
        most = int(image_of_question.bincount().max())
        if most * len(grid) <= MOST_PADDING * len(weights):
            return _by_image(weights, grid, image_of_question, most)
    return torch.bmm(weights, grid.index_select(0, image_of_question))


def _by_image(weights: Tensor, grid: Tensor, image_of_question: Tensor, most: int) -> Tensor:
    """`most` slots an image: question i has slot `place[i]` of its image."""
    order = image_of_question.argsort(stable=True)
    counts = image_of_question.bincount(minlength=len(grid))
    before = (counts.cumsum(0) - counts).index_select(0, image_of_question[order])
    slot = torch.empty_like(order)
    slot[order] = torch.arange(len(order)) - before
    place = image_of_question * most + slot
    _, glimpses, positions = weights.shape
    padded = weights.new_zeros(len(grid) * most, glimpses, positions).index_copy(0, place, weights)
    sums = torch.bmm(padded.view(len(grid), most * glimpses, positions), grid)
    return sums.view(len(grid) * most, glimpses, -1).index_select(0, place)
