"""A question that is not read."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence
from typing_extensions import override

from vqa.model.parts import QuestionEncoder
from vqa.model.types import EncodedText


class ConstantQuestion(QuestionEncoder):
    """A vector of the one value one, whatever the words."""

    one: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.dim = 1
        self.register_buffer("one", torch.ones(()), persistent=False)

    @override
    def forward(self, words: PackedSequence) -> EncodedText:
        """Ones, [batch, 1]."""
        return EncodedText(self.one.expand(int(words.batch_sizes[0]), 1))
