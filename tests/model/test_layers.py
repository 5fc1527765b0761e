"""Batch normalisation: torch's own, but for a batch of one."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from vqa.model.attention import FiLM, Soft
from vqa.model.image_encoder import Small
from vqa.model.layers import BatchNorm1d, BatchNorm2d
from vqa.model.types import EncodedText

PAIRS = [(BatchNorm1d, nn.BatchNorm1d, ()), (BatchNorm2d, nn.BatchNorm2d, (3, 2))]


@pytest.mark.parametrize(("ours", "theirs", "grid"), PAIRS, ids=["1d", "2d"])
@pytest.mark.parametrize("training", [True, False])
def test_it_is_torchs_own_for_more_than_one(
    ours: type[nn.Module], theirs: type[nn.Module], grid: tuple[int, ...], training: bool
) -> None:
    mine, other = ours(4).train(training), theirs(4).train(training)
    other.load_state_dict(mine.state_dict())
    for _ in range(2):
        x = torch.randn(5, 4, *grid)
        torch.testing.assert_close(mine(x), other(x), rtol=0, atol=0)
    torch.testing.assert_close(mine.state_dict(), other.state_dict())


@pytest.mark.parametrize(("ours", "grid"), [(BatchNorm1d, ()), (BatchNorm2d, (1, 1))])
def test_one_is_normalised_by_the_running_statistics(
    ours: type[nn.Module], grid: tuple[int, ...]
) -> None:
    layer = ours(4).train()
    layer(torch.randn(6, 4, *grid) * 2 + 3)
    before = {name: value.clone() for name, value in layer.state_dict().items()}
    x = torch.randn(1, 4, *grid, requires_grad=True)
    out = layer(x)
    torch.testing.assert_close(layer.state_dict(), before)
    torch.testing.assert_close(out, layer.eval()(x))
    out.sum().backward()
    assert x.grad is not None
    assert x.grad.abs().min() > 0


def test_bricks_train_on_a_single_question() -> None:
    text = EncodedText(torch.randn(1, 6))
    of_question = torch.zeros(1, dtype=torch.long)
    for config in (Soft(glimpses=2, batch_norm=True), FiLM(dim=4, out=4)):
        attention = config.build(4, (1, 1), 6).train()
        assert attention(torch.randn(1, 1, 4), text, of_question).vector.isfinite().all()
    encoder = Small(channels=(4, 4), strides=(4, 4)).build((16, 16)).train()
    assert encoder(torch.rand(1, 3, 16, 16)).isfinite().all()
