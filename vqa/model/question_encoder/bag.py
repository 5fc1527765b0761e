"""A bag of words."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.nn.utils.rnn import PackedSequence
from typing_extensions import override

from vqa.model.dropout import dropout
from vqa.model.parts import QuestionEncoder
from vqa.model.question_encoder import Bag
from vqa.model.question_encoder.embedding import word_embedding
from vqa.model.types import EncodedText


class BagOfWords(QuestionEncoder):
    """The mean or the sum of a text's word vectors; they are its states, too."""

    def __init__(
        self,
        config: Bag,
        words: int,
        vocabulary: Sequence[str] | None,
        *,
        pretrained: bool = True,
    ) -> None:
        super().__init__()
        self.dim, self.mean = config.embedding_dim, config.pooling == "mean"
        self.dropout = config.embedding_dropout
        self.embedding = word_embedding(config, words, vocabulary, pretrained=pretrained)

    @override
    def forward(self, words: PackedSequence) -> EncodedText:
        """Packed ids to vectors in the order of the batch."""
        embedded = dropout(self.embedding(words.data), self.dropout, self.training)
        packed = words._replace(data=embedded)
        text = EncodedText(embedded[:0], inputs=packed, states=packed)
        states, present = text.words()
        vector: Tensor = states.sum(dim=1)  # the padding is zero
        if self.mean:
            vector = vector / present.sum(dim=1, keepdim=True).to(vector.dtype)
        return text._replace(vector=vector)
