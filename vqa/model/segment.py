"""Reductions over runs of a flat tensor, such as the choices of each question."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from vqa.model.layers import in_float


def segment_log_softmax(
    scores: Float[Tensor, " items"], segment: Int[Tensor, " items"], segments: int
) -> Float[Tensor, " items"]:
    """Log-softmax within each segment, in float32 at least.

    Args:
        scores: one score an item.
        segment: the segment of every item, 0 … `segments` − 1, in any order.
        segments: how many there are; empty ones are allowed.
    """
    scores = in_float(scores)
    highest = scores.new_full((segments,), -torch.inf)
    highest = highest.scatter_reduce(0, segment, scores.detach(), "amax")
    shifted = scores - highest[segment]
    total = scores.new_zeros(segments).index_add(0, segment, shifted.exp())
    return shifted - total.log()[segment]


def segment_starts(segment: Int[Tensor, " items"], segments: int) -> Int[Tensor, " segments"]:
    """Where each segment begins, for an ascending `segment`.

    An empty one begins where the next one does.
    """
    return torch.searchsorted(
        segment, torch.arange(segments, device=segment.device, dtype=segment.dtype)
    )
