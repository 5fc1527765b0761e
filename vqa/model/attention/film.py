"""Feature-wise linear modulation: convolutions over the grid that the question scales and shifts."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from typing_extensions import override

from vqa.model.attention import FiLM
from vqa.model.layers import BatchNorm2d
from vqa.model.parts import Attention
from vqa.model.places import grid_coordinates
from vqa.model.types import Attended, EncodedText


class Block(nn.Module):
    """x + ReLU(γ ⊙ BN(conv₃ₓ₃(x)) + β), x = ReLU(conv₁ₓ₁([input; places])); γ and β come from the question."""

    def __init__(self, dim: int, places: int) -> None:
        super().__init__()
        self.enter = nn.Conv2d(dim + places, dim, 1)
        self.convolve = nn.Conv2d(dim, dim, 3, padding=1, bias=False)
        self.normalize = BatchNorm2d(dim, affine=False)  # the question's γ and β follow

    def forward(
        self,
        maps: Float[Tensor, "batch channels height width"],
        scale: Float[Tensor, "batch dim"],
        shift: Float[Tensor, "batch dim"],
    ) -> Float[Tensor, "batch dim height width"]:
        """One residual block."""
        entered = self.enter(maps).relu()
        normal = self.normalize(self.convolve(entered))
        changed = scale[:, :, None, None] * normal + shift[:, :, None, None]
        joined: Tensor = entered + changed.relu()
        return joined


class FiLMNetwork(Attention):
    """A convolution, conditioned blocks, a convolution to `out` channels, and each channel's maximum.

    γ = 1 + Δγ, so that a block begins as if the question said nothing.
    """

    places: Tensor

    def __init__(
        self, image_dim: int, grid: tuple[int, int], question_dim: int, config: FiLM
    ) -> None:
        super().__init__()
        self.dim, self.grid = config.out, grid
        places = grid_coordinates(grid).transpose(1, 2).view(1, 2, *grid)
        kept = places if config.coordinates else places[:, :0]
        self.register_buffer("places", kept, persistent=False)
        self.stem = nn.Sequential(
            nn.Conv2d(image_dim, config.dim, 3, padding=1, bias=False),
            BatchNorm2d(config.dim),
            nn.ReLU(),
        )
        count = kept.shape[1]
        self.blocks = nn.ModuleList(Block(config.dim, count) for _ in range(config.blocks))
        self.modulate = nn.Linear(question_dim, 2 * config.dim * config.blocks)
        self.leave = nn.Conv2d(config.dim + count, config.out, 1)

    @override
    def forward(
        self,
        grid: Float[Tensor, "images positions channels"],
        question: EncodedText,
        image_of_question: Int[Tensor, " batch"],
    ) -> Attended:
        """The first convolution is made once an image, all others once a question."""
        maps = self.stem(grid.transpose(1, 2).reshape(len(grid), -1, *self.grid))
        maps = maps.index_select(0, image_of_question)
        changes = self.modulate(question.vector)
        changes = changes.view(len(changes), len(self.blocks), 2, -1)
        for block, change in zip(self.blocks, changes.unbind(1), strict=True):
            maps = block(self._placed(maps), 1 + change[:, 0], change[:, 1])
        return Attended(self.leave(self._placed(maps)).relu().amax(dim=(2, 3)))

    def _placed(self, maps: Tensor) -> Tensor:
        """The maps, and where each position is."""
        places = self.places.to(maps.dtype).expand(len(maps), -1, -1, -1)
        return torch.cat((maps, places), dim=1)
