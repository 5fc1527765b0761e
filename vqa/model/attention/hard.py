"""Hard attention: one position for each glimpse."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional
from typing_extensions import override

from vqa.model.attention import Hard
from vqa.model.attention.glimpses import GlimpseAttention
from vqa.model.attention.sums import weighted_sums
from vqa.model.types import Attended, EncodedText


class HardAttention(GlimpseAttention):
    """The vector of a position drawn from the softmax of the scores; of the likeliest in evaluation.

    A draw has no gradient. `reinforce` adds (ℓ − b) log π(p) − λ H(π) to the loss, whose gradient is in
    expectation that of the mean of ℓ, the question's own loss, less the gain by the policy's entropy H; b is
    a moving mean of the loss. `straight-through` lets the gradient pass as if the draw were
    softmax((log π + g) / τ), with the same Gumbel noise g that drew it.
    """

    baseline: Tensor
    baseline_weight: Tensor

    def __init__(self, image_dim: int, question_dim: int, config: Hard) -> None:
        super().__init__(image_dim, question_dim, config)
        self.reinforce, self.temperature = config.estimator == "reinforce", config.temperature
        self.momentum, self.entropy = config.baseline_momentum, config.entropy
        # A weighted sum of past losses and the sum of the weights; their ratio is the baseline.
        self.register_buffer("baseline", torch.zeros(()))
        self.register_buffer("baseline_weight", torch.zeros(()))

    @override
    def forward(
        self,
        grid: Float[Tensor, "images positions channels"],
        question: EncodedText,
        image_of_question: Int[Tensor, " batch"],
    ) -> Attended:
        """Look at one position a glimpse."""
        policy = self.scores(grid, question.vector, image_of_question).log_softmax(dim=2)
        noisy = policy + _gumbel(policy) if self.training else policy
        place = noisy.argmax(dim=2)
        chosen = functional.one_hot(place, policy.shape[2]).to(policy.dtype)
        weights = chosen
        if self.training and not self.reinforce:
            soft = (noisy / self.temperature).softmax(dim=2)
            weights = chosen + (soft - soft.detach())
        seen = weighted_sums(weights, grid, image_of_question)
        learns = self.training and self.reinforce
        return Attended(seen.flatten(1), chosen, policy=policy if learns else None)

    @override
    def loss(self, attended: Attended, losses: Float[Tensor, " batch"]) -> Tensor | None:
        """What teaches the policy of `reinforce`; moves the baseline."""
        policy, drawn = attended.policy, attended.weights
        if policy is None or drawn is None:
            return None
        log_probability = (policy * drawn).sum(dim=(1, 2))
        entropy = -(policy.exp() * policy).sum(dim=(1, 2))
        advantage = self._advantage(losses.detach().to(policy.dtype))
        return (advantage * log_probability - self.entropy * entropy).mean()

    @torch.no_grad()
    def _advantage(self, losses: Tensor) -> Tensor:
        """Each loss beside the mean of earlier batches; of the first batch beside its own mean."""
        mean = losses.mean()
        known = self.baseline_weight > 0
        past = self.baseline / self.baseline_weight.clamp(min=1e-12)
        advantage = losses - torch.where(known, past.to(mean.dtype), mean)
        self.baseline.mul_(self.momentum).add_((1 - self.momentum) * mean)
        self.baseline_weight.mul_(self.momentum).add_(1 - self.momentum)
        return advantage


def _gumbel(like: Tensor) -> Tensor:
    """Noise with which the maximum of log-probabilities is a draw from them."""
    exponential = torch.empty_like(like).exponential_().clamp(min=torch.finfo(like.dtype).tiny)
    return -exponential.log()
