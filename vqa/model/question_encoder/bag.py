"""A bag of words."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence
from typing_extensions import override

from vqa.model.dropout import dropout
from vqa.model.parts import QuestionEncoder
from vqa.model.question_encoder import Bag
from vqa.model.question_encoder.embedding import word_embedding
from vqa.model.types import EncodedText


class BagOfWords(QuestionEncoder):
    """The mean, the sum or the forgetting sum of a text's word vectors; they are its states, too."""

    def __init__(
        self,
        config: Bag,
        words: int,
        vocabulary: Sequence[str] | None,
        *,
        pretrained: bool = True,
    ) -> None:
        super().__init__()
        self.dim, self.pooling, self.keep = config.embedding_dim, config.pooling, config.keep
        self.dropout = config.embedding_dropout
        self.embedding = word_embedding(config, words, vocabulary, pretrained=pretrained)

    @override
    def forward(self, words: PackedSequence) -> EncodedText:
        """Packed ids to vectors in the order of the batch."""
        embedded = dropout(self.embedding(words.data), self.dropout, self.training)
        packed = words._replace(data=embedded)
        text = EncodedText(embedded[:0], inputs=packed, states=packed)
        states, present = text.words()
        count = present.sum(dim=1, keepdim=True)
        if self.pooling == "forgetting":
            later = count - 1 - torch.arange(present.shape[1], device=present.device)
            states = states * (self.keep ** later.clamp(min=0)).to(states.dtype)[..., None]
        vector: Tensor = states.sum(dim=1)  # the padding is zero
        if self.pooling == "mean":
            vector = vector / count.to(vector.dtype)
        return text._replace(vector=vector)
