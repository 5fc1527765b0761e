"""The image vector alone."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from vqa.model.parts import Fusion


class ImageFusion(Fusion):
    """z = v: the attention has worked the question in."""

    def __init__(self, image_dim: int) -> None:
        super().__init__()
        self.dim = image_dim

    @override
    def forward(
        self, image: Float[Tensor, "batch image_dim"], question: Float[Tensor, "batch question_dim"]
    ) -> Float[Tensor, "batch image_dim"]:
        """The image vector as it is."""
        return image
