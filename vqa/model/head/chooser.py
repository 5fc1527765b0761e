"""Scores each choice by its own words."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn
from typing_extensions import override

from vqa.errors import ModelError
from vqa.model.brick import Activation
from vqa.model.layers import projection
from vqa.model.parts import Head
from vqa.model.segment import segment_log_softmax, segment_starts
from vqa.model.types import Choices, Targets


class ChooserHead(Head):
    """s = w · (f(W_z z + b_z) ⊙ f(W_c c + b_c)) for the fused vector z and a choice's vector c."""

    def __init__(
        self, fused_dim: int, choice_dim: int, dim: int, activation: Activation, dropout: float
    ) -> None:
        super().__init__()
        self.project_fused = projection(fused_dim, dim, activation, dropout)
        self.project_choice = projection(choice_dim, dim, activation, dropout)
        # A bias would move all choices of a question alike, which the softmax undoes.
        self.score = nn.Linear(dim, 1, bias=False)

    @override
    def forward(
        self,
        fused: Float[Tensor, "batch dim"],
        choice_vectors: Float[Tensor, "texts choice_dim"] | None,
        choices: Choices | None,
    ) -> Float[Tensor, " choices"]:
        """One score a choice.

        Raises:
            ModelError: the questions have no choices.
        """
        if choice_vectors is None or choices is None:
            raise ModelError(
                "the questions have no choices to choose from",
                where="model.head",
                fix="use the classifier, or data with choices",
            )
        asked = self.project_fused(fused).index_select(0, choices.question)
        offered = self.project_choice(choice_vectors).index_select(0, choices.text)
        scores: Tensor = self.score(asked * offered)[:, 0]
        return scores

    @override
    def losses(
        self, scores: Float[Tensor, " choices"], targets: Targets, choices: Choices | None
    ) -> Float[Tensor, " batch"]:
        """Cross-entropy over each question's choices.

        A question with label −1 counts as zero.
        """
        assert choices is not None
        questions = len(targets.label)
        log_probability = segment_log_softmax(scores, choices.question, questions)
        starts = segment_starts(choices.question, questions)
        right = (starts + targets.label.clamp(min=0)).clamp(max=len(scores) - 1)
        return -log_probability[right] * (targets.label >= 0)

    @override
    def choice_scores(
        self, scores: Float[Tensor, " choices"], choices: Choices
    ) -> Float[Tensor, " choices"]:
        """The scores themselves."""
        return scores
