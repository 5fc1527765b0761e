"""A picture that is not looked at."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from vqa.model.parts import ImageEncoder


class ConstantImage(ImageEncoder):
    """One position with the value one, whatever the picture."""

    one: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.dim, self.grid = 1, (1, 1)
        self.register_buffer("one", torch.ones(()), persistent=False)

    @override
    def forward(
        self, images: Float[Tensor, "images 3 height width"]
    ) -> Float[Tensor, "images 1 1"]:
        """Ones."""
        return self.one.expand(len(images), 1, 1)
