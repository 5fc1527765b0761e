"""Recurrent layers over packed sequences, each as one autograd function.

One product makes all input projections, one a step the recurrent part, and one each the gradients of the weights;
what a step needs of the steps before stands in the packed rows themselves, so that nothing is copied. The bias is
a column of the input weight, for a column of ones beside the inputs: the same products add it and give its
gradient. In float32 they equal torch's layers within rounding; in bfloat16 the state is rounded at each step, as
cuDNN does it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn.utils.rnn import PackedSequence

_TANH_BACKWARD = torch.ops.aten.tanh_backward.grad_input
_ALIGNED = 8
"""Rows of whole multiples of this many numbers are multiplied quickest, on a GPU above all."""


class Step(NamedTuple):
    """The rows of one time step in a packed sequence, and how they stand to its neighbours.

    Attributes:
        rows: the words of this step, of the longest text first.
        before: the same texts' words one step earlier; empty at the first step.
    """

    rows: slice
    before: slice


def steps_of(batch_sizes: Sequence[int]) -> list[Step]:
    """The steps of a packed sequence, first to last."""
    ends = list(accumulate(batch_sizes))
    steps, start_before = [], 0
    for size, end in zip(batch_sizes, ends, strict=True):
        start = end - size
        steps.append(
            Step(slice(start, end), slice(start_before, start_before + size * (start > 0)))
        )
        start_before = start
    return steps


def run_packed(layer: nn.RNNBase, inputs: PackedSequence) -> tuple[PackedSequence, Tensor]:
    """What `layer(inputs)` gives: its states, and each text's last in the batch's order, directions side by side.

    Args:
        layer: one layer of `nn.RNN` (tanh), `nn.GRU` or `nn.LSTM`, from a zero state.
        inputs: packed vectors.
    """
    sizes = inputs.batch_sizes.tolist()
    steps, places = steps_of(sizes), _Places(inputs.batch_sizes, inputs.data.device)
    states, finals = [], []
    for suffix in ("l0", "l0_reverse") if layer.bidirectional else ("l0",):
        backward = suffix.endswith("reverse")
        data = inputs.data.index_select(0, places.mirrored) if backward else inputs.data
        state = _direction(layer, suffix, data, steps)
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


def _direction(layer: nn.RNNBase, suffix: str, data: Tensor, steps: list[Step]) -> Tensor:
    """The states of one direction, packed."""
    names = (f"weight_ih_{suffix}", f"weight_hh_{suffix}", f"bias_ih_{suffix}", f"bias_hh_{suffix}")
    kind = data.device.type
    dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else data.dtype
    with torch.autocast(kind, enabled=False):
        weight, state_weight, bias, state_bias = (getattr(layer, name).to(dtype) for name in names)
        apart = isinstance(layer, nn.GRU)  # its state's bias is added where a gate closes over it
        inputs = _with_bias(data.to(dtype), weight, bias if apart else bias + state_bias)
        tensors = (*inputs, state_weight, *([state_bias] if apart else []))
        states: Tensor = _FUNCTIONS[type(layer)].apply(*tensors, steps)
    return states


def _with_bias(
    data: Float[Tensor, "words inputs"],
    weight: Float[Tensor, "gates inputs"],
    bias: Float[Tensor, " gates"],
) -> tuple[Float[Tensor, "words width"], Float[Tensor, "gates width"]]:
    """The inputs with ones beside them, and the weight with the bias; zeros fill both up."""
    filled = -(data.shape[1] + 1) % _ALIGNED
    ones = data.new_zeros(len(data), 1 + filled)
    ones[:, 0] = 1
    zeros = weight.new_zeros(len(weight), filled)
    return torch.cat((data, ones), dim=1), torch.cat((weight, bias[:, None], zeros), dim=1)


class PackedRNN(Function):
    """h = tanh(W x + b + U h' + c)."""

    @staticmethod
    def forward(
        ctx: Any,
        data: Float[Tensor, "words width"],
        input_weight: Float[Tensor, "dim width"],
        state_weight: Float[Tensor, "dim dim"],
        steps: list[Step],
    ) -> Float[Tensor, "words dim"]:
        """The states, packed."""
        states = data @ input_weight.T
        for rows, before in steps:
            state = states[rows]
            if before.stop:
                state.addmm_(states[before], state_weight.T)
            state.tanh_()
        ctx.save_for_backward(data, input_weight, state_weight, states)
        ctx.steps = steps
        return states

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Back through time."""
        data, input_weight, state_weight, states = ctx.saved_tensors
        total, sums = gradient.clone(), torch.empty_like(states)
        for rows, before in reversed(ctx.steps):
            _TANH_BACKWARD(total[rows], states[rows], grad_input=sums[rows])
            if before.stop:
                total[before].addmm_(sums[rows], state_weight)
        inputs = _input_gradients(ctx, sums, data, input_weight)
        return *inputs, _state_gradient(sums, states, ctx.steps), None


class PackedGRU(Function):
    """r, z = σ(…), n = tanh(W x + b + r ⊙ (U h' + c)), h = n + z ⊙ (h' − n): cuDNN's form."""

    @staticmethod
    def forward(
        ctx: Any,
        data: Float[Tensor, "words width"],
        input_weight: Float[Tensor, "gates width"],
        state_weight: Float[Tensor, "gates dim"],
        state_bias: Float[Tensor, " gates"],
        steps: list[Step],
    ) -> Float[Tensor, "words dim"]:
        """The states, packed."""
        dim = state_weight.shape[1]
        gates = data @ input_weight.T  # reset, update, new
        offers = data.new_empty(len(data), dim)  # U h' + c of the new state's gate
        states = torch.empty_like(offers)
        for rows, before in steps:
            gate, state, offer = gates[rows], states[rows], offers[rows]
            both, new = gate[:, : 2 * dim], gate[:, 2 * dim :]
            if before.stop:
                said = torch.addmm(state_bias, states[before], state_weight.T)
                both.add_(said[:, : 2 * dim])
                offer.copy_(said[:, 2 * dim :])
            else:
                both.add_(state_bias[: 2 * dim])
                offer.copy_(state_bias[2 * dim :].expand_as(offer))
            both.sigmoid_()
            new.addcmul_(both[:, :dim], offer).tanh_()
            update = both[:, dim:]
            if before.stop:
                torch.lerp(new, states[before], update, out=state)
            else:
                torch.addcmul(new, update, new, value=-1, out=state)
        ctx.save_for_backward(data, input_weight, state_weight, gates, offers, states)
        ctx.steps = steps
        return states

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Back through time."""
        data, input_weight, state_weight, gates, offers, states = ctx.saved_tensors
        dim = state_weight.shape[1]
        total, sums = gradient.clone(), torch.empty_like(gates)
        news = torch.empty_like(states)  # the gradient of what the new state's tanh is taken of
        for rows, before in reversed(ctx.steps):
            reset, update, new = gates[rows].chunk(3, dim=1)
            by_reset, by_update, by_offer = sums[rows].chunk(3, dim=1)
            given, by_new = total[rows], news[rows]
            earlier = states[before] if before.stop else torch.zeros_like(new)
            _sigmoid_backward(given * (earlier - new), update, by_update)
            kept = given * update
            _TANH_BACKWARD(given - kept, new, grad_input=by_new)
            _sigmoid_backward(by_new * offers[rows], reset, by_reset)
            torch.mul(by_new, reset, out=by_offer)
            if before.stop:
                total[before].add_(kept).addmm_(sums[rows], state_weight)
        state_gradient, state_bias = _state_gradient(sums, states, ctx.steps), sums.sum(0)
        sums[:, 2 * dim :] = news
        inputs = _input_gradients(ctx, sums, data, input_weight)
        return *inputs, state_gradient, state_bias, None


class PackedLSTM(Function):
    """i, f, o = σ(…), u = tanh(…), c = f ⊙ c' + i ⊙ u, h = o ⊙ tanh(c)."""

    @staticmethod
    def forward(
        ctx: Any,
        data: Float[Tensor, "words width"],
        input_weight: Float[Tensor, "gates width"],
        state_weight: Float[Tensor, "gates dim"],
        steps: list[Step],
    ) -> Float[Tensor, "words dim"]:
        """The states, packed."""
        dim = state_weight.shape[1]
        gates = data @ input_weight.T  # i, f, u, o
        cells = data.new_empty(len(data), dim)
        bounded, states = torch.empty_like(cells), torch.empty_like(cells)  # tanh(c), h
        for rows, before in steps:
            gate, cell, seen = gates[rows], cells[rows], bounded[rows]
            if before.stop:
                gate.addmm_(states[before], state_weight.T)
            gate[:, : 2 * dim].sigmoid_()
            gate[:, 2 * dim : 3 * dim].tanh_()
            gate[:, 3 * dim :].sigmoid_()
            enter, forget, offer, leave = gate.chunk(4, dim=1)
            torch.mul(enter, offer, out=cell)
            if before.stop:
                cell.addcmul_(forget, cells[before])
            torch.tanh(cell, out=seen)
            torch.mul(leave, seen, out=states[rows])
        ctx.save_for_backward(data, input_weight, state_weight, gates, cells, bounded, states)
        ctx.steps = steps
        return states

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Back through time."""
        data, input_weight, state_weight, gates, cells, bounded, states = ctx.saved_tensors
        total, sums = gradient.clone(), torch.empty_like(gates)
        by_cells = torch.zeros_like(cells)
        for rows, before in reversed(ctx.steps):
            enter, forget, offer, leave = gates[rows].chunk(4, dim=1)
            by_enter, by_forget, by_offer, by_leave = sums[rows].chunk(4, dim=1)
            given, seen, by_cell = total[rows], bounded[rows], by_cells[rows]
            _sigmoid_backward(given * seen, leave, by_leave)
            by_cell.add_(torch.ops.aten.tanh_backward(given * leave, seen))
            _sigmoid_backward(by_cell * offer, enter, by_enter)
            _TANH_BACKWARD(by_cell * enter, offer, grad_input=by_offer)
            if before.stop:
                _sigmoid_backward(by_cell * cells[before], forget, by_forget)
                torch.mul(by_cell, forget, out=by_cells[before])
                total[before].addmm_(sums[rows], state_weight)
            else:
                by_forget.zero_()  # there was no cell to forget
        inputs = _input_gradients(ctx, sums, data, input_weight)
        return *inputs, _state_gradient(sums, states, ctx.steps), None


def _sigmoid_backward(gradient: Tensor, value: Tensor, out: Tensor) -> None:
    """gradient ⊙ s ⊙ (1 − s), s being the sigmoid's value; torch's own is four times as slow in bfloat16.

    Args:
        gradient: is written over.
    """
    gradient.mul_(value)
    torch.addcmul(gradient, gradient, value, value=-1, out=out)


def _input_gradients(
    ctx: Any, sums: Tensor, data: Tensor, weight: Tensor
) -> tuple[Tensor | None, Tensor]:
    """Of the inputs, where they learn, and of the weight they are multiplied with."""
    return sums @ weight if ctx.needs_input_grad[0] else None, sums.T @ data


def _state_gradient(sums: Tensor, states: Tensor, steps: list[Step]) -> Tensor:
    """Of the weight that the earlier states are multiplied with: the first step has none."""
    earlier = torch.cat([states[before] for _, before in steps])
    return sums[steps[0].rows.stop :].T @ earlier


_FUNCTIONS: dict[type[nn.RNNBase], type[Function]] = {
    nn.RNN: PackedRNN,
    nn.GRU: PackedGRU,
    nn.LSTM: PackedLSTM,
}
