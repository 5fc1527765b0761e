"""Regions that a detector found in a picture: a set of vectors in the place of a grid."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional
from typing_extensions import override

from vqa.model.image_encoder import Regions
from vqa.model.parts import ImageEncoder


class RegionFeatures(ImageEncoder):
    """What was brought in of each region, as its configuration asks for it; it learns nothing.

    The grid is one row of regions, in the order of the file.
    """

    def __init__(self, config: Regions) -> None:
        super().__init__()
        self._features, self._boxes = config.dim, config.boxes
        self._normalize = config.normalize
        self.dim, self.grid = config.channels, (1, config.count)

    @override
    def forward(
        self, images: Float[Tensor, "images regions kept"]
    ) -> Float[Tensor, "images regions dim"]:
        """Rows as they are kept (features, then the box where there is one) to what the network reads."""
        features = images[..., : self._features]
        if self._normalize:
            features = functional.normalize(features, dim=2)
        if not self._boxes:
            return features
        return torch.cat((features, images[..., self._features : self.dim]), dim=2)

    @override
    def kept(self, rows: Tensor) -> Tensor:
        """The same: regions are never made of pictures here."""
        encoded: Tensor = self(rows)
        return encoded
