"""Scores over the answer vocabulary."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from vqa.model.brick import Activation
from vqa.model.dropout import Dropout
from vqa.model.layers import fully_connected, in_float
from vqa.model.parts import Head
from vqa.model.types import Choices, Targets


class ClassifierHead(Head):
    """A linear layer over the answers, after fully connected layers through `sizes`."""

    def __init__(
        self,
        sizes: Sequence[int],
        answers: int,
        activation: Activation,
        dropout: float,
        loss: Literal["cross_entropy", "soft_bce"],
    ) -> None:
        super().__init__()
        self.hidden = fully_connected(sizes, activation, dropout)
        self.answer = nn.Sequential(Dropout(dropout), nn.Linear(sizes[-1], answers))
        self.criterion = _LOSSES[loss]

    @override
    def forward(
        self,
        fused: Float[Tensor, "batch dim"],
        choice_vectors: Float[Tensor, "texts choice_dim"] | None = None,
        choices: Choices | None = None,
    ) -> Float[Tensor, "batch answers"]:
        """Raw scores; the choices play no part."""
        scores: Tensor = self.answer(self.hidden(fused))
        return scores

    @override
    def losses(
        self,
        scores: Float[Tensor, "batch answers"],
        targets: Targets,
        choices: Choices | None = None,
    ) -> Float[Tensor, " batch"]:
        """See `soft_cross_entropy` and `soft_binary_cross_entropy`."""
        return self.criterion(scores, targets)

    @override
    def choice_scores(
        self, scores: Float[Tensor, "batch answers"], choices: Choices
    ) -> Float[Tensor, " choices"]:
        """The score of the answer that each choice is, −inf for one outside the vocabulary."""
        chosen = scores[choices.question, choices.answer_id.clamp(min=0)]
        return chosen.masked_fill(choices.answer_id < 0, -torch.inf)


def soft_cross_entropy(
    scores: Float[Tensor, "batch answers"], targets: Targets
) -> Float[Tensor, " batch"]:
    """Cross-entropy against the acceptable answers' weights, scaled to sum to one a question.

    −Σₐ (wₐ / Σ w) log softmax(s)ₐ for each question. A question with no weight (none of its answers
    is in the vocabulary) counts as zero. No dense target is made.
    """
    log_probability = functional.log_softmax(in_float(scores), dim=1)
    gathered = log_probability.gather(1, targets.answer_id.clamp(min=0))
    weight = targets.weight.to(gathered.dtype)
    share = weight / weight.sum(dim=1, keepdim=True).clamp(min=torch.finfo(weight.dtype).tiny)
    return -(share * gathered).sum(dim=1)


def soft_binary_cross_entropy(
    scores: Float[Tensor, "batch answers"], targets: Targets
) -> Float[Tensor, " batch"]:
    """Binary cross-entropy of every answer against its weight, 0 for those not named.

    Σₐ softplus(sₐ) − Σₐ wₐ sₐ: summed over the vocabulary, as in the bottom-up top-down model
    (Anderson et al. 2018), so that its size does not fall with the vocabulary's; one value a
    question. A question with no weight counts as zero. No dense target is made.
    """
    scores = in_float(scores)
    weight = targets.weight.to(scores.dtype)
    named = (weight * scores.gather(1, targets.answer_id.clamp(min=0))).sum(dim=1)
    loss = functional.softplus(scores).sum(dim=1) - named
    return loss * (weight.sum(dim=1) > 0)


_LOSSES: dict[str, Callable[[Tensor, Targets], Tensor]] = {
    "cross_entropy": soft_cross_entropy,
    "soft_bce": soft_binary_cross_entropy,
}
