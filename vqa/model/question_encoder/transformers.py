"""A text encoder of `transformers`."""

from __future__ import annotations

import contextlib
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence
from typing_extensions import override

from vqa.errors import ModelError
from vqa.hub import is_local, why_not
from vqa.model.parts import QuestionEncoder
from vqa.model.question_encoder import Transformers
from vqa.model.types import EncodedText


class TransformersEncoder(QuestionEncoder):
    """Its last hidden states, pooled.

    Raises:
        ModelError: the model cannot be loaded, or has fewer token ids than the texts.
    """

    def __init__(self, config: Transformers, words: int, *, pretrained: bool = True) -> None:
        super().__init__()
        self.frozen, self.pooling, self.learning_rate = config.frozen, config.pooling, config.lr
        self.network = _encoder(_load(config.model, pretrained))
        settings: Any = self.network.config
        if words > settings.vocab_size:
            raise ModelError(
                f"knows {settings.vocab_size} tokens, the texts use {words}",
                where=config.model,
                fix="prepare the texts with this model's own tokenizer",
            )
        self.dim = int(settings.hidden_size)
        self.longest = getattr(settings, "max_position_embeddings", None)
        self.network.requires_grad_(not self.frozen)
        self.train(self.training)

    @override
    def train(self, mode: bool = True) -> TransformersEncoder:
        """A frozen network stays in evaluation mode."""
        super().train(mode)
        if self.frozen:
            self.network.eval()
        return self

    @override
    def forward(self, words: PackedSequence) -> EncodedText:
        """Packed ids to vectors in the order of the batch; padded within, with a mask.

        Within they stay as they are packed, longest first: to order them would wait for the device.
        """
        ids, lengths = pad_packed_sequence(
            PackedSequence(words.data, words.batch_sizes), batch_first=True
        )
        self._check_length(ids.shape[1])
        there = lengths.to(ids.device, non_blocking=True)[:, None]
        mask = torch.arange(ids.shape[1], device=ids.device) < there
        with torch.no_grad() if self.frozen else contextlib.nullcontext():
            states = self.network(input_ids=ids, attention_mask=mask.long()).last_hidden_state
        vector, packed = self._pool(states, mask), pack_padded_sequence(states, lengths, True)
        if words.unsorted_indices is not None:
            vector = vector.index_select(0, words.unsorted_indices)
        return EncodedText(vector, states=words._replace(data=packed.data))

    def _pool(self, states: Tensor, mask: Tensor) -> Tensor:
        if self.pooling == "cls":
            return states[:, 0]
        kept = states * mask[:, :, None].to(states.dtype)
        return kept.sum(dim=1) / mask.sum(dim=1, keepdim=True).to(states.dtype)

    def _check_length(self, tokens: int) -> None:
        if self.longest is not None and tokens > self.longest:
            raise ModelError(
                f"a text has {tokens} tokens, the model reads at most {self.longest}",
                where="model.question_encoder",
                fix="shorten the texts when they are tokenized",
            )


def _load(model: str, pretrained: bool) -> nn.Module:
    from transformers import AutoConfig, AutoModel

    local = is_local(model)
    try:
        if pretrained:
            network: nn.Module = AutoModel.from_pretrained(model, local_files_only=local)
        else:
            settings = AutoConfig.from_pretrained(model, local_files_only=local)
            network = AutoModel.from_config(settings)
    except Exception as error:  # network, disk, format: not specified
        raise ModelError(
            f"cannot load this text encoder ({why_not(model, error)})",
            where=f"model.question_encoder.model={model}",
            fix="give a local folder with config.json and model.safetensors",
        ) from error
    return network


def _encoder(network: Any) -> nn.Module:
    """The encoder alone, without a pooling layer that would never learn."""
    if network.config.is_encoder_decoder:
        network = network.get_encoder()
    if getattr(network, "pooler", None) is not None:
        network.pooler = None
    encoder: nn.Module = network
    return encoder
