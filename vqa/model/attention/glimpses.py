"""What soft and hard attention share."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from vqa.model.attention import Glimpses
from vqa.model.dropout import Dropout
from vqa.model.layers import activation_layer, in_float
from vqa.model.parts import Attention


class GlimpseAttention(Attention):
    """For glimpse g and position p a score s; subclasses make weights of them.

    s = w_g · f(Wᵥ vₚ + W_q q + b), or with a product s = w_g · (f(Wᵥ vₚ) ⊙ f(W_q q + b)).
    """

    def __init__(self, image_dim: int, question_dim: int, config: Glimpses) -> None:
        super().__init__()
        self.dim, self.product = config.glimpses * image_dim, config.meeting == "product"
        self.project_image = nn.Linear(image_dim, config.hidden, bias=False)
        self.project_question = nn.Linear(question_dim, config.hidden)
        self.activation = activation_layer(config.activation)
        self.grid_dropout, self.dropout = Dropout(config.grid_dropout), Dropout(config.dropout)
        # A bias would move all scores alike, which the softmax undoes.
        self.score = nn.Linear(config.hidden, config.glimpses, bias=False)

    def scores(
        self,
        grid: Float[Tensor, "images positions channels"],
        question: Float[Tensor, "batch dim"],
        image_of_question: Int[Tensor, " batch"],
    ) -> Float[Tensor, "batch glimpses positions"]:
        """In float32 at least; the grid is projected once an image."""
        projected = self.project_image(self.grid_dropout(grid))  # [images, positions, hidden]
        asked = self.project_question(question)  # [batch, hidden]
        return in_float(self._scores(projected, asked, image_of_question).transpose(1, 2))

    def _scores(self, projected: Tensor, asked: Tensor, image_of_question: Tensor) -> Tensor:
        """[batch, positions, glimpses]."""
        if not self.product:
            met = projected.index_select(0, image_of_question) + asked[:, None]
            scores: Tensor = self.score(self.dropout.after(self.activation, met))
            return scores
        offered = self.dropout.after(self.activation, projected).index_select(0, image_of_question)
        # The question's side takes the glimpses' weights in, so that nothing of the width of both is made.
        wanted = self.activation(asked)[:, None] * self.score.weight  # [batch, glimpses, hidden]
        return torch.bmm(offered, wanted.transpose(1, 2).to(offered.dtype))
