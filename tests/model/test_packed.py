"""Our packed recurrent layers against torch's: states, last states and every gradient."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_sequence
from torch.utils._python_dispatch import TorchDispatchMode
from typing_extensions import override

from vqa.model.question_encoder import GRU, LSTM, RNN, recurrent
from vqa.model.question_encoder.packed import run_packed

Run = Callable[[nn.RNNBase, PackedSequence], tuple[PackedSequence, Tensor]]
LAYERS: list[Any] = [nn.RNN, nn.GRU, nn.LSTM]
every_layer = pytest.mark.parametrize("kind", LAYERS)
both_directions = pytest.mark.parametrize("bidirectional", [False, True])
LENGTHS = [3, 1, 6, 6, 2]


def run_torch(layer: nn.RNNBase, inputs: PackedSequence) -> tuple[PackedSequence, Tensor]:
    """The same by torch's layer."""
    states, last = layer(inputs)
    hidden = last[0] if isinstance(last, tuple) else last
    return states, hidden.transpose(0, 1).flatten(1)


def inputs_of(lengths: list[int], width: int, dtype: torch.dtype) -> PackedSequence:
    texts = [torch.randn(length, width, dtype=dtype) for length in lengths]
    return pack_sequence(texts, enforce_sorted=False)


def everything(run: Run, layer: nn.RNNBase, inputs: PackedSequence) -> list[Tensor]:
    """States, last states, and the gradients of inputs and parameters of a loss that all states enter."""
    layer.zero_grad()
    data = inputs.data.clone().requires_grad_()
    states, final = run(layer, inputs._replace(data=data))
    weights = torch.linspace(-1, 1, states.data.numel(), dtype=data.dtype, device=data.device)
    loss = (states.data.flatten() * weights).sum() + final.square().sum()
    loss.backward()
    gradients = [data.grad, *(p.grad for p in layer.parameters())]
    return [states.data, final, *(g for g in gradients if g is not None)]


def _compare(layer: nn.RNNBase, inputs: PackedSequence, **tolerance: float) -> None:
    ours, theirs = (everything(run, layer, inputs) for run in (run_packed, run_torch))
    assert len(ours) == len(theirs) == 3 + len(list(layer.parameters()))
    for mine, yours in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, yours, **tolerance)


@every_layer
@both_directions
def test_it_equals_torch_in_double_precision(kind: Any, bidirectional: bool) -> None:
    layer = kind(5, 7, bidirectional=bidirectional).double()
    _compare(layer, inputs_of(LENGTHS, 5, torch.float64))


@every_layer
@given(lengths=st.lists(st.integers(1, 9), min_size=1, max_size=8), width=st.integers(1, 9))
def test_of_whatever_lengths_and_width(kind: Any, lengths: list[int], width: int) -> None:
    layer = kind(width, 4, bidirectional=True).double()
    _compare(layer, inputs_of(lengths, width, torch.float64))


@every_layer
@pytest.mark.usefixtures("nan_in_new_memory")
def test_rows_that_fill_products_up_leave_no_trace(kind: Any) -> None:
    layer = kind(3, 4, bidirectional=True).double()
    lengths = [1 + 7 * k % 11 for k in range(300)]
    _compare(layer, inputs_of(lengths, 3, torch.float64))


@pytest.fixture
def nan_in_new_memory() -> Iterator[None]:
    """Whatever reads memory that nothing was written to sees NaN."""
    torch.use_deterministic_algorithms(True)
    assert torch.utils.deterministic.fill_uninitialized_memory
    assert torch.empty(3).isnan().all()
    yield
    torch.use_deterministic_algorithms(False)


_PRODUCTS = (torch.ops.aten.mm, torch.ops.aten.addmm, torch.ops.aten.addmm_)


class _Shapes(TorchDispatchMode):
    """Notes the shapes of all products."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[tuple[torch.Size, ...]] = set()

    @override
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.overloadpacket in _PRODUCTS:
            self.seen.add(tuple(matrix.shape for matrix in args[-2:]))
        return func(*args, **(kwargs or {}))


@every_layer
def test_products_of_batches_of_all_lengths_have_few_shapes(kind: Any) -> None:
    layer, draw = kind(3, 4), torch.Generator().manual_seed(0)
    with _Shapes() as shapes:
        for _ in range(20):
            lengths = (1 + torch.randint(20, (96,), generator=draw)).tolist()
            everything(run_packed, layer, inputs_of(lengths, 3, torch.float32))
    assert 20 < len(shapes.seen) <= 60, "more than twice as many, were no row filled up"


@every_layer
def test_single_precision_is_as_near_to_double_as_torch_is(kind: Any) -> None:
    layer, inputs = kind(24, 32), inputs_of([9, 4, 12, 1], 24, torch.float32)
    double = kind(24, 32).double()
    double.load_state_dict(layer.state_dict())
    exact = everything(run_torch, double, inputs._replace(data=inputs.data.double()))
    for mine, right in zip(everything(run_packed, layer, inputs), exact, strict=True):
        torch.testing.assert_close(mine.double(), right, rtol=1e-4, atol=1e-5)


@every_layer
def test_bfloat16_strays_no_further_than_torch_does(kind: Any) -> None:
    """Under autocast; the mean error of states and gradients against double precision, within a half."""
    layer, inputs = kind(32, 48), inputs_of([9, 4, 12, 1, 7, 7], 32, torch.float32)
    double = kind(32, 48).double()
    double.load_state_dict(layer.state_dict())
    exact = everything(run_torch, double, inputs._replace(data=inputs.data.double()))
    with torch.autocast("cpu", torch.bfloat16):
        ours = everything(run_packed, layer, inputs)
        theirs = everything(run_torch, layer, inputs)
    assert ours[0].dtype == torch.bfloat16
    assert ours[3].dtype == torch.float32, "parameters learn in their own precision"
    for mine, yours, right in zip(ours, theirs, exact, strict=True):
        size = right.abs().mean()
        error, allowed = ((x.double() - right).abs().mean() / size for x in (mine, yours))
        assert error < max(0.02, 1.5 * allowed)


@every_layer
@both_directions
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_torchs_kernels_compute_in_the_type_of_autocast(
    kind: Any, bidirectional: bool, dtype: torch.dtype
) -> None:
    layer = kind(5, 7, bidirectional=bidirectional)
    inputs = inputs_of(LENGTHS, 5, torch.float32)
    right = everything(run_torch, layer, inputs)

    def run(layer: nn.RNNBase, inputs: PackedSequence) -> tuple[PackedSequence, Tensor]:
        with torch.autocast("cpu", dtype):
            states, final = recurrent.run_torch(layer, inputs)
        assert states.data.dtype == final.dtype == dtype
        return states._replace(data=states.data.float()), final.float()

    for mine, yours in zip(everything(run, layer, inputs), right, strict=True):
        assert (mine - yours).norm() <= 0.02 * yours.norm()


@every_layer
def test_its_gradients_are_those_of_finite_differences(kind: Any) -> None:
    layer, inputs = kind(2, 3).double(), inputs_of([2, 1, 3], 2, torch.float64)

    def vector(data: Tensor, *_: Tensor) -> Tensor:
        return run_packed(layer, inputs._replace(data=data))[1]

    arguments = (inputs.data.clone().requires_grad_(), *layer.parameters())
    assert torch.autograd.gradcheck(vector, arguments)


@pytest.mark.parametrize("member", [RNN, GRU, LSTM])
@pytest.mark.parametrize("pooling", ["last", "attention"])
def test_an_encoder_says_the_same_with_either(member: Any, pooling: str) -> None:
    shape = {"dim": 5, "embedding_dim": 4, "layers": 2, "bidirectional": True, "pooling": pooling}
    own = member(**shape, implementation="packed").build(12).double()
    torchs = member(**shape, implementation="torch").build(12).double()
    torchs.load_state_dict(own.state_dict())
    words = pack_sequence([torch.randint(12, (n,)) for n in LENGTHS], enforce_sorted=False)
    vectors = [encoder(words).vector for encoder in (own, torchs)]
    torch.testing.assert_close(*vectors)
    gradients = []
    for encoder, vector in zip((own, torchs), vectors, strict=True):
        vector.square().sum().backward()
        gradients.append([p.grad for p in encoder.parameters()])
    torch.testing.assert_close(*gradients)


def test_the_choice_is_automatic_and_can_be_forced(monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[str] = []

    def note(layer: nn.RNNBase, inputs: PackedSequence) -> tuple[PackedSequence, Tensor]:
        used.append("packed")
        return run_packed(layer, inputs)

    monkeypatch.setattr("vqa.model.question_encoder.recurrent.run_packed", note)
    words = pack_sequence([torch.tensor([1, 2])])
    for implementation, expected in (("auto", ["packed"]), ("packed", ["packed"]), ("torch", [])):
        used.clear()
        LSTM(dim=3, embedding_dim=2, implementation=implementation).build(4)(words)
        assert used == expected


def test_frozen_word_vectors_get_no_gradient() -> None:
    layer, inputs = nn.LSTM(3, 4), inputs_of([2, 1], 3, torch.float32)
    run_packed(layer, inputs)[1].sum().backward()
    assert inputs.data.grad is None
    assert all(p.grad is not None for p in layer.parameters())


def test_weights_in_pieces_are_no_news(monkeypatch: pytest.MonkeyPatch) -> None:
    """cuDNN says so at every step; they are in the type of the products, so made for the step."""

    def cudnn(*given: Any) -> Any:
        warnings.warn("RNN module weights are not part of single contiguous chunk", stacklevel=1)
        return torch.lstm(*given)

    monkeypatch.setitem(recurrent.FUNCTIONS, nn.LSTM, cudnn)
    with torch.autocast("cpu", torch.bfloat16):
        states, _ = recurrent.run_torch(nn.LSTM(4, 5), inputs_of(LENGTHS, 4, torch.float32))
    assert states.data.dtype is torch.bfloat16
