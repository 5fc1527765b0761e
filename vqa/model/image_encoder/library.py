"""What the encoders that libraries bring share: one or more stages of a network as a grid."""

from __future__ import annotations

import contextlib
import io
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from vqa.errors import ModelError
from vqa.model.image_encoder import Library
from vqa.model.image_encoder.convolutions import replace_points
from vqa.model.image_encoder.grid import (
    IMAGENET,
    Standardize,
    Statistics,
    join_scales,
    positions_last,
)
from vqa.model.layers import freeze_what_is_unread
from vqa.model.parts import ImageEncoder


class LibraryCNN(ImageEncoder):
    """Pictures, standardised, through a network to the maps of its stages.

    Args:
        config: how it is trained.
        network: the network, with its weights.
        image_size: height and width of the pictures.
        stage: what the stage is called in messages.
        statistics: mean and standard deviation of each colour, of the pictures that it learnt from.

    Raises:
        ModelError: the pictures are too small, or the stage has no grid.
    """

    def __init__(
        self,
        config: Library,
        network: nn.Module,
        image_size: tuple[int, int],
        stage: object,
        statistics: Statistics = IMAGENET,
    ) -> None:
        super().__init__()
        self.frozen, self.normalize = config.frozen, config.normalize
        self.learning_rate = config.lr
        self.standardize = Standardize(*statistics)
        replace_points(network)
        self.network: Any = network
        scales = self._probe(image_size, config.model, stage)
        self.dim = sum(maps.shape[1] for maps in scales)
        self.grid = (scales[0].shape[2], scales[0].shape[3])
        self.to(memory_format=torch.channels_last)
        if self.frozen:
            self.network.requires_grad_(False)
        self.train(self.training)

    @abstractmethod
    def scales(self, images: Tensor) -> Sequence[Tensor]:
        """Standardised pictures to the maps of each stage, [images, channels, height, width]."""

    @override
    def train(self, mode: bool = True) -> LibraryCNN:
        """A frozen network stays in evaluation mode: its batch norms keep their statistics."""
        super().train(mode)
        if self.frozen:
            self.network.eval()
        return self

    @override
    def forward(
        self, images: Float[Tensor, "images 3 height width"]
    ) -> Float[Tensor, "images positions dim"]:
        """Pictures in 0…1 to the stages' grid."""
        images = self.standardize(images).contiguous(memory_format=torch.channels_last)
        with torch.no_grad() if self.frozen else contextlib.nullcontext():
            grid = positions_last(join_scales(self.scales(images)))
        return functional.normalize(grid, dim=2) if self.normalize else grid

    def _probe(self, size: tuple[int, int], model: str, stage: object) -> Sequence[Tensor]:
        """What one picture becomes."""
        self.network.eval()
        try:
            # A traced network prints its own traceback besides raising.
            with torch.no_grad(), contextlib.redirect_stderr(io.StringIO()):
                scales = self.scales(torch.zeros(1, 3, *size))
        except (RuntimeError, ValueError) as error:
            raise ModelError(
                f"{model} cannot take pictures of {size[0]}×{size[1]} ({error})",
                where="data.image_size",
                fix="use larger pictures or an earlier stage",
            ) from error
        for maps in scales:
            if maps.ndim != 4:
                raise ModelError(
                    f"the output of stage {stage!r} of {model} has shape {list(maps.shape)},"
                    " which is no grid",
                    where="model.image_encoder.stage",
                    fix="choose a stage of a CNN with [images, channels, height, width]",
                )
        return scales

    def freeze_what_is_unread(self, image_size: tuple[int, int]) -> None:
        """Take parameters that do not bear on the grid, such as later stages, out of the training."""
        self.network.eval()  # or the statistics of batch norms would move
        with torch.enable_grad():
            maps = join_scales(self.scales(torch.zeros(1, 3, *image_size)))
            freeze_what_is_unread(self.network, maps)
        self.train(self.training)
