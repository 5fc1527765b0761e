"""Memory for batches that is used again."""

from __future__ import annotations

import gc
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from vqa.data.cache.buffers import Buffers

SHAPE = (3, 2, 4)


def test_a_block_is_used_again_once_its_tensor_is_gone() -> None:
    buffers = Buffers()
    first = buffers.take(SHAPE, torch.bfloat16)
    assert first.shape == SHAPE
    assert first.dtype == torch.bfloat16
    assert first.is_contiguous()
    place = first.data_ptr()
    del first
    assert buffers.take((2, 2, 4), torch.bfloat16).data_ptr() == place, "a smaller one fits"
    assert buffers.take(SHAPE, torch.bfloat16).data_ptr() == place, "and the block stays whole"


@pytest.mark.parametrize("hold", [lambda t: t[1:], lambda t: t.view(-1), lambda t: t.detach()])
def test_a_view_keeps_its_block(hold: object) -> None:
    buffers = Buffers()
    tensor = buffers.take(SHAPE, torch.float32)
    view: Tensor = hold(tensor.fill_(7))  # type: ignore[operator]
    del tensor
    gc.collect()
    buffers.take(SHAPE, torch.float32).zero_()
    assert (view == 7).all()


def test_what_autograd_saved_keeps_its_block() -> None:
    buffers, weight = Buffers(), torch.ones(4, requires_grad=True)
    product = (buffers.take((5, 4), torch.float32).fill_(2) @ weight).sum()
    gc.collect()
    buffers.take((5, 4), torch.float32).fill_(100)
    product.backward()  # type: ignore[no-untyped-call]
    assert weight.grad is not None
    assert weight.grad.tolist() == [10.0] * 4


def test_a_block_that_is_too_small_is_let_go() -> None:
    buffers = Buffers()
    small = buffers.take((2,), torch.uint8)
    del small
    assert len(buffers._free) == 1
    large = buffers.take((1000,), torch.uint8)
    assert len(large) == 1000
    assert not buffers._free


@given(sizes=st.lists(st.integers(0, 50), min_size=1, max_size=20), held=st.integers(1, 4))
def test_no_two_tensors_that_live_share_memory(sizes: list[int], held: int) -> None:
    buffers, alive = Buffers(), list[tuple[int, Tensor]]()
    for number, size in enumerate(sizes):
        alive = [*alive[1 - held :], (number, buffers.take((size,), torch.int64).fill_(number))]
        assert all((tensor == told).all() for told, tensor in alive[-held:])


def test_threads_take_blocks_of_their_own() -> None:
    buffers = Buffers()

    def work(number: int) -> bool:
        tensor = buffers.take((64, 64), torch.int32).fill_(number)
        return bool((tensor == number).all())

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(400)))
    assert 1 <= len(buffers._free) <= 4
