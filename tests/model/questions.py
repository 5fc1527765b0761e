"""Questions of several lengths, and what an encoder makes of them together."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_sequence

from vqa.model.parts import QuestionEncoder
from vqa.model.types import EncodedText

WORDS = 12
LENGTHS = [3, 9, 1, 4, 9, 2]


def texts() -> list[Tensor]:
    """Random words of each length."""
    return [torch.randint(WORDS, (length,)) for length in LENGTHS]


def packed(every: list[Tensor]) -> PackedSequence:
    """Texts as a batch, in any order."""
    return pack_sequence(every, enforce_sorted=False)


def vector(encoder: QuestionEncoder, every: list[Tensor]) -> Tensor:
    """The vector of each text."""
    encoded: EncodedText = encoder(packed(every))
    return encoded.vector
