"""An imaginary GPU: its tensors have shapes, types and a place, and no values; those of a CPU stay real.

To mix the two raises, and so does whatever would wait for a value.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode, unset_fake_temporarily
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

GPU = torch.device("lazy")
"""No CPU, and of the kinds that torch computes gradients on without a driver."""


class _Apart(TorchDispatchMode):
    """Computes for real what touches a CPU alone."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        elsewhere = torch.device(kwargs.get("device") or "cpu").type != "cpu"
        tensors = tree_leaves((args, kwargs))
        if elsewhere or any(isinstance(one, FakeTensor) for one in tensors):
            return _packed(*args) if func is _PACK else func(*args, **kwargs)
        with unset_fake_temporarily():
            return func(*args, **kwargs)


_PACK = torch.ops.aten._pack_padded_sequence.default


def _packed(padded: Tensor, lengths: Tensor, batch_first: bool) -> tuple[Tensor, Tensor]:
    """The shapes that packing gives, which torch does not tell without values."""
    assert batch_first
    with unset_fake_temporarily():
        steps = torch.arange(int(lengths.max()))
        present = (steps[:, None] < lengths).sum(1)
        words = int(lengths.sum())
    return padded.new_empty((words, *padded.shape[2:])), present


@contextlib.contextmanager
def imagined() -> Iterator[None]:
    """Where the imaginary GPU is there: tensors, batches and networks can be sent `to` it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nn.Module, "to", _to)
        patch.setattr(torch, "is_autocast_enabled", lambda *_: False)
        patch.setattr(torch, "autocast", lambda *_, **__: contextlib.nullcontext())
        with (
            FakeTensorMode(allow_non_fake_inputs=True),
            _Apart(),
            torch.autograd.set_multithreading_enabled(False),
        ):
            yield


def _to(network: nn.Module, device: torch.device) -> nn.Module:
    """As `network.to(device)`, which cannot make imaginary parameters of real ones."""
    for part in network.modules():
        for name, own in part._parameters.items():
            if own is not None and own.device != device:
                part._parameters[name] = nn.Parameter(own.detach().to(device), own.requires_grad)
        for name, buffer in part._buffers.items():
            part._buffers[name] = None if buffer is None else buffer.to(device)
    return network
