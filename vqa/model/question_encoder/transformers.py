"""A text encoder of `transformers`."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence
from typing_extensions import override

from vqa.errors import ModelError
from vqa.hub import is_local, why_not
from vqa.model.layers import freeze_what_is_unread
from vqa.model.parts import QuestionEncoder
from vqa.model.question_encoder import Transformers
from vqa.model.types import EncodedText
from vqa.model.weights import check_loaded, without_report


class TransformersEncoder(QuestionEncoder):
    """Its last hidden states, pooled.

    Raises:
        ModelError: the model cannot be loaded, or has fewer token ids than the texts.
    """

    def __init__(self, config: Transformers, words: int, *, pretrained: bool = True) -> None:
        super().__init__()
        self.frozen, self.pooling, self.learning_rate = config.frozen, config.pooling, config.lr
        self.network = _encoder(config.model, pretrained).float()  # whatever it was saved in
        settings: Any = self.network.config
        if words > settings.vocab_size:
            raise ModelError(
                f"knows {settings.vocab_size} tokens, the texts use {words}",
                where=config.model,
                fix="prepare the texts with this model's own tokenizer",
            )
        self.dim = int(settings.hidden_size)
        self.longest = _longest(self.network)
        self.network.requires_grad_(not self.frozen)
        if not any(p.is_meta for p in self.parameters()):
            self._try(config, pretrained=pretrained)
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

    def _try(self, config: Transformers, *, pretrained: bool) -> None:
        """Read two texts that begin alike; take what does not bear on the states out of the training.

        Raises:
            ModelError: it reads no texts, or its first token stands for no text.
        """
        self.network.eval()  # or dropout would draw
        ids = torch.tensor([[3, 4, 5, 6], [3, 6, 5, 4]]) % self.network.config.vocab_size
        with torch.set_grad_enabled(not self.frozen):
            states = _read(self.network, ids, config.model)
            first = states[:, 0].detach()
            if pretrained and self.pooling == "cls" and torch.allclose(first[0], first[1]):
                raise ModelError(
                    f"the first token of {config.model} hears nothing of those after it",
                    where="model.question_encoder.pooling=cls",
                    fix="use pooling=mean",
                )
            if not self.frozen and not _has_experts(self.network.config):
                with contextlib.suppress(AssertionError):  # Reformer has no gradients like this
                    freeze_what_is_unread(self.network, states)

    def _check_length(self, tokens: int) -> None:
        if self.longest is not None and tokens > self.longest:
            raise ModelError(
                f"a text has {tokens} tokens, the model reads at most {self.longest}",
                where="model.question_encoder",
                fix="shorten the texts when they are tokenized",
            )


def _longest(network: Any) -> int | None:
    """The most tokens of a text; None where there is no such number."""
    longest: int | None = getattr(network.config, "max_position_embeddings", None)
    tables = (m for n, m in network.named_modules() if n.endswith("position_embeddings"))
    padding = getattr(next(tables, None), "padding_idx", None)
    # RoBERTa and those that came of it count positions from behind the padding's id.
    return longest if longest is None or padding is None else longest - padding - 1


def _read(network: Any, ids: Tensor, model: str) -> Tensor:
    """The states of texts without padding."""
    try:
        states: Tensor = network(
            input_ids=ids, attention_mask=torch.ones_like(ids)
        ).last_hidden_state
    except Exception as error:  # each model has its own
        raise _no_text_encoder(
            model, f"reads no texts ({type(error).__name__}: {error})"
        ) from error
    return states


def _has_experts(settings: Any) -> bool:
    """Whether each text reads other parts of it, so that what one leaves unread says nothing."""
    return any("experts" in name for name in settings.to_dict())


def _encoder(model: str, pretrained: bool) -> Any:
    """The encoder alone, of a model that may have more parts, and without a pooling layer that would never learn."""
    from transformers import MODEL_MAPPING

    whole, info = _load(model, pretrained)
    network = whole.get_encoder() if whole.config.is_encoder_decoder else whole
    # CLIP and its like have one of pictures beside it.
    network = getattr(network, "text_model", network)
    if getattr(network, "pooler", None) is not None:
        network.pooler = nn.Identity()  # some call it, whether it is there or not
    check_loaded(network, whole.state_dict(keep_vars=True), info, model)
    # An exported model is made again of the encoder's configuration alone.
    if not hasattr(network.config, "vocab_size") or type(network.config) not in MODEL_MAPPING:
        raise _no_text_encoder(model, f"a {whole.config.model_type} is no text encoder")
    return network


def _no_text_encoder(model: str, what: str) -> ModelError:
    return ModelError(
        what,
        where=f"model.question_encoder.model={model}",
        fix="give a text encoder, such as a BERT",
    )


def _load(model: str, pretrained: bool) -> tuple[Any, Mapping[str, Any]]:
    """All of the model, and what of its weights did not fit."""
    from transformers import AutoConfig, AutoModel

    local = is_local(model)
    try:
        if not pretrained:
            settings = AutoConfig.from_pretrained(model, local_files_only=local)
            return AutoModel.from_config(settings), {"missing_keys": (), "mismatched_keys": ()}
        with without_report():
            network, info = AutoModel.from_pretrained(
                model,
                local_files_only=local,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # they are named here
            )
    except Exception as error:  # network, disk, format: not specified
        raise ModelError(
            f"cannot load this text encoder ({why_not(model, error)})",
            where=f"model.question_encoder.model={model}",
            fix="give a local folder with config.json and model.safetensors",
        ) from error
    return network, info
