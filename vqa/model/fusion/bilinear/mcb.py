"""Multimodal compact bilinear pooling."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from typing_extensions import override

from vqa.model.layers import in_float, power_normalize
from vqa.model.parts import Fusion


class CountSketch(nn.Module):
    """x hashed to `dim` values: ψ(x)ₖ is the sum of s(i) xᵢ over the i with h(i) = k.

    The place h(i) and the sign s(i) of each value are drawn once, and kept in the state dict.
    """

    place: Tensor
    sign: Tensor

    def __init__(self, inputs: int, dim: int) -> None:
        super().__init__()
        self.dim = dim
        self.register_buffer("place", torch.randint(dim, (inputs,)))
        # On the CPU, as in `places`.
        self.register_buffer("sign", torch.randint(2, (inputs,), device="cpu").float() * 2 - 1)

    def forward(self, x: Float[Tensor, "batch inputs"]) -> Float[Tensor, "batch dim"]:
        """The sketch of each vector."""
        empty = x.new_zeros(len(x), self.dim)
        return empty.index_add(1, self.place, x * self.sign.to(x.dtype))


class MCBFusion(Fusion):
    """The sketch of the outer product of v and q, which is the circular convolution of their sketches.

    By the convolution theorem it is the product of their Fourier transforms; computed in float32 at
    least, which half precision's transforms are not.
    """

    def __init__(self, image_dim: int, question_dim: int, dim: int, normalize: bool) -> None:
        super().__init__()
        self.dim, self.normalize = dim, normalize
        self.sketch_image = CountSketch(image_dim, dim)
        self.sketch_question = CountSketch(question_dim, dim)

    @override
    def forward(
        self, image: Float[Tensor, "batch image_dim"], question: Float[Tensor, "batch question_dim"]
    ) -> Float[Tensor, "batch dim"]:
        """Join the vectors of each question."""
        waves = torch.fft.rfft(self.sketch_image(in_float(image)))
        waves = waves * torch.fft.rfft(self.sketch_question(in_float(question)))
        fused = torch.fft.irfft(waves, n=self.dim)
        return power_normalize(fused) if self.normalize else fused
