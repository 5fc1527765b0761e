"""One vector a word, random or from a file."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from vqa.errors import ModelError
from vqa.model.question_encoder import WordVectors
from vqa.model.question_encoder.vectors import Coverage, read_vectors


class WordEmbedding(nn.Embedding):
    """One vector a word.

    Attributes:
        coverage: how many of the words came from a file; None where none was read.
    """

    coverage: Coverage | None = None


def word_embedding(
    config: WordVectors, words: int, vocabulary: Sequence[str] | None, *, pretrained: bool = True
) -> WordEmbedding:
    """The table of word vectors; words that the file lacks keep their random ones.

    Raises:
        ModelError: the file cannot be read or does not fit, or the vocabulary is not known.
    """
    embedding = WordEmbedding(words, config.embedding_dim)
    if config.vectors is not None and pretrained:
        _fill(embedding, config, vocabulary)
    embedding.weight.requires_grad_(not config.freeze_vectors)
    return embedding


def _fill(embedding: WordEmbedding, config: WordVectors, vocabulary: Sequence[str] | None) -> None:
    assert config.vectors is not None
    if vocabulary is None or len(vocabulary) != embedding.num_embeddings:
        raise ModelError(
            "word vectors need the vocabulary's words, one for each id", where=str(config.vectors)
        )
    found = read_vectors(config.vectors, vocabulary, config.embedding_dim)
    embedding.coverage = Coverage.of(config.vectors, found, vocabulary)
    with torch.no_grad():
        for place, word in enumerate(vocabulary):
            if word in found:
                embedding.weight[place] = torch.from_numpy(found[word])
