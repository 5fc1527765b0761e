"""Cheap dropout: its rate, the independence of its draws, its gradient, and that a seed decides it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from vqa.model.config import ModelConfig, Sizes
from vqa.model.dropout import Dropout, dropout

RATES = [0.5, 0.25, 0.1, 0.3, 0.999, 1e-3]
COUNT = 400_000


@pytest.mark.parametrize("rate", RATES)
def test_as_many_are_dropped_as_the_rate_says(rate: float) -> None:
    """Within five standard errors, and so is the mean."""
    torch.manual_seed(0)
    out = dropout(torch.ones(COUNT, dtype=torch.float64), rate, True)
    error = (rate * (1 - rate) / COUNT) ** 0.5
    assert abs((out == 0).double().mean().item() - rate) < 5 * error
    assert abs(out.mean().item() - 1) < 5 * error / (1 - rate)
    assert out[out != 0].unique().numel() == 1


@pytest.mark.parametrize("rate", [0.5, 0.1])
@pytest.mark.parametrize("distance", [1, 2, 4, 7, 8, 16, 64, 1000])
def test_neighbours_are_dropped_independently(rate: float, distance: int) -> None:
    """Also those that share a word of random bits: the correlation is nought within five standard errors."""
    torch.manual_seed(distance)
    zero = (dropout(torch.ones(COUNT), rate, True) == 0).double() - rate
    correlation = (zero[distance:] * zero[:-distance]).mean() / (rate * (1 - rate))
    assert abs(correlation.item()) < 5 / COUNT**0.5


@pytest.mark.parametrize("rate", [0.5, 0.1])
def test_every_place_in_a_word_of_bits_has_the_same_rate(rate: float) -> None:
    torch.manual_seed(1)
    zero = (dropout(torch.ones(COUNT // 16, 16), rate, True) == 0).double().mean(dim=0)
    assert ((zero - rate).abs() < 5 * (rate * (1 - rate) / (COUNT / 16)) ** 0.5).all()


def test_two_calls_draw_anew() -> None:
    torch.manual_seed(2)
    first, second = (dropout(torch.ones(COUNT), 0.5, True) == 0 for _ in range(2))
    assert abs((first == second).double().mean().item() - 0.5) < 5 * 0.5 / COUNT**0.5


def test_a_seed_and_a_saved_state_decide_it() -> None:
    x = torch.ones(77)
    torch.manual_seed(3)
    first = dropout(x, 0.3, True)
    state = torch.get_rng_state()
    second = dropout(x, 0.3, True)
    torch.manual_seed(3)
    assert torch.equal(dropout(x, 0.3, True), first)
    torch.set_rng_state(state)
    assert torch.equal(dropout(x, 0.3, True), second)
    assert not torch.equal(first, second)


@pytest.mark.parametrize("shape", [(), (1,), (3, 5), (0, 4), (2, 3, 7)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_any_shape_and_type(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    x = (
        torch.randn(shape, dtype=dtype).transpose(0, -1)
        if shape
        else torch.randn(shape, dtype=dtype)
    )
    out = dropout(x, 0.5, True)
    assert out.shape == x.shape
    assert out.dtype == x.dtype
    assert ((out == 0) | (out == 2 * x)).all()


def test_the_gradient_goes_where_the_value_went() -> None:
    x = torch.randn(6, 50, dtype=torch.float64, requires_grad=True)
    out = dropout(x, 0.4, True)
    out.sum().backward()
    assert x.grad is not None
    torch.testing.assert_close(x.grad * x.detach(), out.detach())


@pytest.mark.parametrize("activation", [nn.ReLU(), nn.Tanh(), nn.Identity()])
@pytest.mark.parametrize("training", [True, False])
def test_after_an_activation_it_is_the_same_as_one_after_the_other(
    activation: nn.Module, training: bool
) -> None:
    drop = Dropout(0.3).train(training)
    outs, gradients = [], []
    for run in (lambda x: drop.after(activation, x), lambda x: drop(activation(x))):
        torch.manual_seed(5)
        x = torch.randn(30, 40, dtype=torch.float64, requires_grad=True)
        out = run(x)
        (out * torch.linspace(-1, 1, 40, dtype=torch.float64)).sum().backward()
        outs.append(out)
        gradients.append(x.grad)
    torch.testing.assert_close(*outs, rtol=0, atol=1e-15)
    torch.testing.assert_close(*gradients, rtol=0, atol=1e-15)


def test_outside_training_and_at_rate_zero_nothing_happens() -> None:
    x = torch.randn(9)
    state = torch.get_rng_state()
    assert dropout(x, 0.5, False) is x
    assert dropout(x, 0.0, True) is x
    assert Dropout(0.5).eval()(x) is x
    assert torch.equal(torch.get_rng_state(), state)


def test_on_the_whole_it_is_torchs() -> None:
    """The distribution of a sum of dropped values: mean and variance beside those of `functional.dropout`."""
    torch.manual_seed(4)
    x = torch.rand(40, dtype=torch.float64).expand(20_000, 40)
    sums = [drop(x, 0.3, True).sum(dim=1) for drop in (dropout, functional.dropout)]
    ours, theirs = sums
    assert abs(ours.mean() - theirs.mean()) < 5 * (2 * theirs.var() / 20_000) ** 0.5
    assert abs(ours.var() / theirs.var() - 1) < 5 * (2 * 2 / 20_000) ** 0.5


@pytest.mark.parametrize(
    "bricks",
    [
        {"fusion": {"name": "multiply", "dropout": 0.5}},
        {"attention": {"name": "soft", "dropout": 0.5, "grid_dropout": 0.5}},
        {"question_encoder": {"name": "lstm", "dropout": 0.5, "embedding_dropout": 0.5}},
        {"head": {"name": "classifier", "hidden": [8], "dropout": 0.5}},
    ],
)
def test_every_dropout_of_a_network_is_this_one(bricks: Any) -> None:
    network = ModelConfig.model_validate(bricks).build(Sizes(16, 16, 10, 5))
    plain = [m for m in network.modules() if type(m) is nn.Dropout]
    assert not plain
