"""The memory that a network takes for a batch while it learns, by what it keeps of a few questions."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from vqa.data.batches import Batcher, entering
from vqa.data.supply import Supply
from vqa.data.table import QuestionTable
from vqa.evaluation.predict import Predictor

PROBED = 4
"""Questions by which the memory of a batch is estimated."""


def activation_bytes(predictor: Predictor, table: QuestionTable, supply: Supply, batch: int) -> int:
    """What the network keeps of a batch until its gradient comes, by what it keeps of a few questions.

    An estimate: every question is taken to have a picture of its own. No state moves.
    """
    few, more = (_kept_of(predictor, table, supply, count) for count in (PROBED, 2 * PROBED))
    each = max(0, more - few) // PROBED
    return max(0, few - PROBED * each) + batch * each


def _kept_of(predictor: Predictor, table: QuestionTable, supply: Supply, count: int) -> int:
    """What is kept of so many questions, in bytes."""
    device, network = predictor.device, predictor.network
    askable, place = np.flatnonzero(predictor.can_ask(table)), np.arange(count)
    index = askable[place % len(askable)]
    batch = Batcher(table, device).gather(index, supply.blank(count), place)
    was_training, buffers = network.training, {k: b.clone() for k, b in network.named_buffers()}
    network.train()  # with what dropout keeps
    try:
        with (
            torch.random.fork_rng([device] if device.type == "cuda" else []),
            torch.enable_grad(),
            torch.autocast(device.type, predictor.autocast, predictor.autocast is not None),
            _Kept(network) as kept,
        ):
            network(
                entering(batch.images),
                batch.image_of_question,
                batch.words,
                batch.choices,
                batch.text_of_question,
            )
    finally:
        network.train(was_training)
        for name, buffer in network.named_buffers():  # running statistics
            buffer.copy_(buffers[name])
    return kept.bytes


class _Kept:
    """Counts what is kept for the gradient while it is entered, parameters left out."""

    def __init__(self, network: nn.Module) -> None:
        self._own = {_memory(tensor) for tensor in _tensors(network)}
        self._sizes: dict[int, int] = {}
        self._hooks = saved_tensors_hooks(self._note, lambda tensor: tensor)

    def __enter__(self) -> _Kept:
        self._hooks.__enter__()
        return self

    def __exit__(self, *problem: object) -> None:
        self._hooks.__exit__(*problem)

    @property
    def bytes(self) -> int:
        """In all."""
        return sum(self._sizes.values())

    def _note(self, tensor: Tensor) -> Tensor:
        if tensor.layout is torch.strided and _memory(tensor) not in self._own:
            self._sizes[_memory(tensor)] = tensor.untyped_storage().nbytes()
        return tensor


def _tensors(network: nn.Module) -> Iterator[Tensor]:
    yield from network.parameters()
    yield from network.buffers()


def _memory(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()
