"""Recurrent layers over packed sequences, each as one autograd function.

One product makes all input projections, one a step the recurrent part, and one each the gradients of the weights.
The words of step k stand together, `sizes[k]` of them, of the longest text first: those of the same texts one step
earlier begin step k − 1. The bias is a column of the input weight, for a column of ones beside the inputs: the same
products add it and give its gradient. oneDNN makes code for every shape of a product, a quarter of a megabyte, and
forgets it when there are too many. So that batches have few shapes, rows of zeros fill the inputs up, and the product
of a step takes rows of the next one besides, whose results are left. In float32 these layers equal torch's within
rounding; in bfloat16 the state, and what it is multiplied to, are rounded at each step.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn.functional import pad
from torch.nn.utils.rnn import PackedSequence

_TANH_BACKWARD = torch.ops.aten.tanh_backward.grad_input
_ALIGNED = 8
"""Rows of whole multiples of this many numbers are multiplied quickest, on a GPU above all."""
_WASTED = 32
"""At most one row in so many is filled up with zeros, from 256 words on."""


def run_packed(layer: nn.RNNBase, inputs: PackedSequence) -> tuple[PackedSequence, Tensor]:
    """What `layer(inputs)` gives: its states, and each text's last in the batch's order, directions side by side.

    Args:
        layer: one layer of `nn.RNN` (tanh), `nn.GRU` or `nn.LSTM`, from a zero state.
        inputs: packed vectors.
    """
    sizes = inputs.batch_sizes.tolist()
    places = _Places(inputs.batch_sizes, inputs.data.device)
    states, finals = [], []
    for suffix in ("l0", "l0_reverse") if layer.bidirectional else ("l0",):
        backward = suffix.endswith("reverse")
        data = inputs.data.index_select(0, places.mirrored) if backward else inputs.data
        state = _direction(layer, suffix, data, sizes)
        finals.append(state.index_select(0, places.last))
        states.append(state.index_select(0, places.mirrored) if backward else state)
    final = torch.cat(finals, dim=1) if len(finals) > 1 else finals[0]
    if inputs.unsorted_indices is not None:
        final = final.index_select(0, inputs.unsorted_indices)
    joined = torch.cat(states, dim=1) if len(states) > 1 else states[0]
    return inputs._replace(data=joined), final


class _Places:
    """Where things stand in a packed sequence.

    Attributes:
        last: the last word of each text, longest first.
        mirrored: for each word the one as far from its text's end as it is from the beginning.
    """

    def __init__(self, batch_sizes: Int[Tensor, " steps"], device: torch.device) -> None:
        text = torch.arange(int(batch_sizes[0]))
        present = text < batch_sizes[:, None]  # [steps, texts]
        starts, lengths = batch_sizes.cumsum(0) - batch_sizes, present.sum(0)
        last = starts[lengths - 1] + text
        opposite = (lengths - 1 - torch.arange(len(starts))[:, None]).clamp(min=0)
        mirrored = (starts[opposite] + text)[present]
        self.last = last.to(device, non_blocking=True)
        self.mirrored = mirrored.to(device, non_blocking=True)


def _direction(layer: nn.RNNBase, suffix: str, data: Tensor, sizes: list[int]) -> Tensor:
    """The states of one direction, packed."""
    names = (f"weight_ih_{suffix}", f"weight_hh_{suffix}", f"bias_ih_{suffix}", f"bias_hh_{suffix}")
    kind = data.device.type
    dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else data.dtype
    with torch.autocast(kind, enabled=False):
        weight, state_weight, bias, state_bias = (getattr(layer, name).to(dtype) for name in names)
        apart = isinstance(layer, nn.GRU)  # its state's bias is added where a gate closes over it
        inputs = _with_bias(data.to(dtype), weight, bias if apart else bias + state_bias)
        tensors = (*inputs, state_weight, *([state_bias] if apart else []))
        states: Tensor = _FUNCTIONS[type(layer)].apply(*tensors, sizes)
    return states


def _with_bias(
    data: Float[Tensor, "words inputs"],
    weight: Float[Tensor, "gates inputs"],
    bias: Float[Tensor, " gates"],
) -> tuple[Float[Tensor, "rows width"], Float[Tensor, "gates width"]]:
    """The inputs with ones beside them, and the weight with the bias; zeros fill both up."""
    columns, rows = -(data.shape[1] + 1) % _ALIGNED, _filled(len(data)) - len(data)
    ones = torch.cat((data, data.new_ones(len(data), 1)), dim=1)
    zeros = weight.new_zeros(len(weight), columns)
    return pad(ones, (0, columns, 0, rows)), torch.cat((weight, bias[:, None], zeros), dim=1)


def _filled(words: int) -> int:
    """The rows that hold so many words: the next multiple of the largest power of two that wastes few."""
    unit = max(_ALIGNED, 1 << max(0, words.bit_length() - _WASTED.bit_length()))
    return -(-words // unit) * unit


class PackedRNN(Function):
    """h = tanh(W x + b + U h' + c)."""

    @staticmethod
    def forward(
        ctx: Any,
        data: Float[Tensor, "rows width"],
        input_weight: Float[Tensor, "dim width"],
        state_weight: Float[Tensor, "dim dim"],
        sizes: list[int],
    ) -> Float[Tensor, "words dim"]:
        """The states, packed."""
        gates, room = data @ input_weight.T, _room(data, sizes, len(state_weight))
        [gate, state], earlier = _each(sizes, gates, room), _operands(room, sizes, sizes[1:])
        for k, count in enumerate(sizes):
            if k:
                gate[k].add_((earlier[k - 1] @ state_weight.T)[:count])
            torch.tanh(gate[k], out=state[k])
        states = room[: sum(sizes)]
        ctx.save_for_backward(data, input_weight, state_weight, states)
        ctx.sizes = sizes
        return states

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Back through time."""
        data, input_weight, state_weight, states = ctx.saved_tensors
        total, room = gradient.clone(), _room(data, ctx.sizes, states.shape[1])
        given, by_state, state = _each(ctx.sizes, total, room, states)
        passed = _operands(room, ctx.sizes, ctx.sizes)
        for k, count in _backwards(ctx.sizes):
            _TANH_BACKWARD(given[k], state[k], grad_input=by_state[k])
            if k:
                given[k - 1][:count].add_((passed[k] @ state_weight)[:count])
        sums = _sums(room, data, ctx.sizes)
        inputs = _input_gradients(ctx, sums, data, input_weight)
        return *inputs, _state_gradient(sums, states, ctx.sizes), None


class PackedGRU(Function):
    """r, z = σ(…), n = tanh(W x + b + r ⊙ (U h' + c)), h = n + z ⊙ (h' − n): cuDNN's form."""

    @staticmethod
    def forward(
        ctx: Any,
        data: Float[Tensor, "rows width"],
        input_weight: Float[Tensor, "gates width"],
        state_weight: Float[Tensor, "gates dim"],
        state_bias: Float[Tensor, " gates"],
        sizes: list[int],
    ) -> Float[Tensor, "words dim"]:
        """The states, packed."""
        dim = state_weight.shape[1]
        gates = (data @ input_weight.T)[: sum(sizes)]  # reset, update, new
        offers = data.new_empty(sum(sizes), dim)  # U h' + c of the new state's gate
        room = _room(data, sizes, dim)
        # views of the gates, which are changed in place: reset and update as one, and each
        both, new, offer, state = _each(
            sizes, gates[:, : 2 * dim], gates[:, 2 * dim :], offers, room
        )
        reset, update = _each(sizes, *gates[:, : 2 * dim].chunk(2, dim=1))
        earlier = _operands(room, sizes, sizes[1:])
        for k, count in enumerate(sizes):
            if k:
                said = torch.addmm(state_bias, earlier[k - 1], state_weight.T)[:count]
                both[k].add_(said[:, : 2 * dim])
                offer[k].copy_(said[:, 2 * dim :])
            else:
                both[k].add_(state_bias[: 2 * dim])
                offer[k].copy_(state_bias[2 * dim :].expand_as(offer[k]))
            both[k].sigmoid_()
            new[k].addcmul_(reset[k], offer[k]).tanh_()
            if k:
                torch.lerp(new[k], state[k - 1][:count], update[k], out=state[k])
            else:
                torch.addcmul(new[k], update[k], new[k], value=-1, out=state[k])
        states = room[: sum(sizes)]
        ctx.save_for_backward(data, input_weight, state_weight, gates, offers, states)
        ctx.sizes = sizes
        return states

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Back through time."""
        data, input_weight, state_weight, gates, offers, states = ctx.saved_tensors
        dim = state_weight.shape[1]
        total, room = gradient.clone(), _room(data, ctx.sizes, 3 * dim)
        news = torch.empty_like(states)  # the gradient of what the new state's tanh is taken of
        reset, update, new = _each(ctx.sizes, *gates.chunk(3, dim=1))
        by_reset, by_update, by_offer = _each(ctx.sizes, *room.chunk(3, dim=1))
        given, by_new, state, offer = _each(ctx.sizes, total, news, states, offers)
        passed = _operands(room, ctx.sizes, ctx.sizes)
        for k, count in _backwards(ctx.sizes):
            kept = given[k] * update[k]
            changed = state[k - 1][:count] - new[k] if k else -new[k]
            _before_sigmoid(changed.mul_(kept), update[k], by_update[k])
            _TANH_BACKWARD(given[k] - kept, new[k], grad_input=by_new[k])
            torch.mul(by_new[k], reset[k], out=by_offer[k])
            _before_sigmoid(by_offer[k] * offer[k], reset[k], by_reset[k])
            if k:
                given[k - 1][:count].add_(kept).add_((passed[k] @ state_weight)[:count])
        sums = _sums(room, data, ctx.sizes)
        state_gradient, state_bias = _state_gradient(sums, states, ctx.sizes), sums.sum(0)
        sums[: len(news), 2 * dim :] = news
        inputs = _input_gradients(ctx, sums, data, input_weight)
        return *inputs, state_gradient, state_bias, None


class PackedLSTM(Function):
    """i, f, o = σ(…), u = tanh(…), c = f ⊙ c' + i ⊙ u, h = o ⊙ tanh(c)."""

    @staticmethod
    def forward(
        ctx: Any,
        data: Float[Tensor, "rows width"],
        input_weight: Float[Tensor, "gates width"],
        state_weight: Float[Tensor, "gates dim"],
        sizes: list[int],
    ) -> Float[Tensor, "words dim"]:
        """The states, packed."""
        dim = state_weight.shape[1]
        gates = (data @ input_weight.T)[: sum(sizes)]  # i, f, u, o
        cells = data.new_empty(len(gates), dim)
        bounded, room = torch.empty_like(cells), _room(data, sizes, dim)  # tanh(c), h
        gate, cell, seen, state = _each(sizes, gates, cells, bounded, room)
        enter, forget, offer, leave = _each(sizes, *gates.chunk(4, dim=1))
        earlier = _operands(room, sizes, sizes[1:])
        for k, count in enumerate(sizes):
            if k:
                gate[k].add_((earlier[k - 1] @ state_weight.T)[:count])
            for opening in (enter[k], forget[k], leave[k]):
                opening.sigmoid_()
            torch.mul(enter[k], offer[k].tanh_(), out=cell[k])
            if k:
                cell[k].addcmul_(forget[k], cell[k - 1][:count])
            torch.tanh(cell[k], out=seen[k])
            torch.mul(leave[k], seen[k], out=state[k])
        states = room[: sum(sizes)]
        ctx.save_for_backward(data, input_weight, state_weight, gates, cells, bounded, states)
        ctx.sizes = sizes
        return states

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Back through time."""
        data, input_weight, state_weight, gates, cells, bounded, states = ctx.saved_tensors
        total, room = gradient.clone(), _room(data, ctx.sizes, gates.shape[1])
        by_cells = torch.zeros_like(cells)
        enter, forget, offer, leave = _each(ctx.sizes, *gates.chunk(4, dim=1))
        by_enter, by_forget, by_offer, by_leave = _each(ctx.sizes, *room.chunk(4, dim=1))
        given, by_cell, cell, seen = _each(ctx.sizes, total, by_cells, cells, bounded)
        passed = _operands(room, ctx.sizes, ctx.sizes)
        for k, count in _backwards(ctx.sizes):
            left = given[k] * leave[k]
            by_cell[k].add_(torch.ops.aten.tanh_backward(left, seen[k]))
            _before_sigmoid(left.mul_(seen[k]), leave[k], by_leave[k])
            entered = by_cell[k] * enter[k]
            _TANH_BACKWARD(entered, offer[k], grad_input=by_offer[k])
            _before_sigmoid(entered.mul_(offer[k]), enter[k], by_enter[k])
            if k:
                kept = torch.mul(by_cell[k], forget[k], out=by_cell[k - 1][:count])
                _before_sigmoid(kept * cell[k - 1][:count], forget[k], by_forget[k])
                given[k - 1][:count].add_((passed[k] @ state_weight)[:count])
            else:
                by_forget[k].zero_()  # there was no cell to forget
        sums = _sums(room, data, ctx.sizes)
        inputs = _input_gradients(ctx, sums, data, input_weight)
        return *inputs, _state_gradient(sums, states, ctx.sizes), None


def _each(sizes: list[int], *tensors: Tensor) -> list[tuple[Tensor, ...]]:
    """Of each tensor the rows of each step."""
    words = sum(sizes)
    return [torch.split(tensor[:words], sizes) for tensor in tensors]


def _backwards(sizes: list[int]) -> Iterator[tuple[int, int]]:
    """The steps and their sizes, last to first."""
    return reversed(list(enumerate(sizes)))


def _before_sigmoid(passed: Tensor, gate: Tensor, out: Tensor) -> None:
    """The gradient before a sigmoid whose value is `gate`, g ⊙ s ⊙ (1 − s), of `passed`, g ⊙ s."""
    torch.addcmul(passed, passed, gate, value=-1, out=out)


def _room(data: Tensor, sizes: list[int], width: int) -> Tensor:
    """Memory for a row a word, and for those that the products of the last steps take behind them."""
    return data.new_empty(max(len(data), sum(sizes) + _filled(sizes[0])), width)


def _operands(room: Tensor, sizes: list[int], counts: list[int]) -> list[Tensor]:
    """The rows for each step's product: `counts[k]` from where step k begins, and those behind that fill them up.

    No count is larger than its step, nor filled up further than the first: they end within the room.
    """
    starts = accumulate(sizes, initial=0)
    return [
        room[start : start + _filled(count)] for start, count in zip(starts, counts, strict=False)
    ]


def _sums(room: Tensor, data: Tensor, sizes: list[int]) -> Tensor:
    """A row of the room for each of `data`; zeros where that was filled up."""
    room[sum(sizes) : len(data)].zero_()
    return room[: len(data)]


def _input_gradients(
    ctx: Any, sums: Tensor, data: Tensor, weight: Tensor
) -> tuple[Tensor | None, Tensor]:
    """Of the inputs, where they learn, and of the weight they are multiplied with."""
    return sums @ weight if ctx.needs_input_grad[0] else None, sums.T @ data


def _state_gradient(sums: Tensor, states: Tensor, sizes: list[int]) -> Tensor:
    """Of the weight that the earlier states are multiplied with: the first step has none."""
    followed = zip(torch.split(states, sizes), sizes[1:], strict=False)
    unused = states.new_zeros(len(sums) - len(states), states.shape[1])
    earlier = torch.cat([*(state[:count] for state, count in followed), unused])
    return sums[sizes[0] :].T @ earlier


_FUNCTIONS: dict[type[nn.RNNBase], type[Function]] = {
    nn.RNN: PackedRNN,
    nn.GRU: PackedGRU,
    nn.LSTM: PackedLSTM,
}
