"""Each fusion against its formula, written out in float64."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from vqa.model.fusion import Concat, Multiply, Sum
from vqa.model.parts import Fusion

RANDOM = torch.Generator().manual_seed(0)
IMAGE = torch.randn(4, 5, generator=RANDOM).double()
QUESTION = torch.randn(4, 3, generator=RANDOM).double()


def _projected(fusion: Any) -> tuple[Tensor, Tensor]:
    image, question = fusion.project_image[1], fusion.project_question[1]
    return IMAGE @ image.weight.T + image.bias, QUESTION @ question.weight.T + question.bias


def _join(fusion: Fusion) -> Tensor:
    joined: Tensor = fusion(IMAGE, QUESTION)
    return joined


@pytest.mark.parametrize(
    ("activation", "function"), [("tanh", torch.tanh), ("relu", torch.relu), ("none", lambda x: x)]
)
def test_multiply_and_sum(activation: Any, function: Any) -> None:
    fusion = Multiply(dim=6, activation=activation).build(5, 3).double()
    image, question = _projected(fusion)
    torch.testing.assert_close(_join(fusion), function(image) * function(question))
    fusion = Sum(dim=6, activation=activation).build(5, 3).double()
    image, question = _projected(fusion)
    torch.testing.assert_close(_join(fusion), function(image) + function(question))


def test_concat() -> None:
    fusion = Concat(hidden=(6,)).build(5, 3).double()
    layer = fusion.layers[0][1]
    expected = (torch.cat((IMAGE, QUESTION), 1) @ layer.weight.T + layer.bias).relu()
    torch.testing.assert_close(_join(fusion), expected)


def test_concat_without_layers_is_the_concatenation() -> None:
    fusion = Concat(hidden=()).build(5, 3)
    assert fusion.dim == 8
    assert torch.equal(_join(fusion), torch.cat((IMAGE, QUESTION), 1))


def test_dropout_is_off_in_evaluation() -> None:
    fusion = Multiply(dim=6, dropout=0.9).build(5, 3).double()
    assert not torch.equal(_join(fusion), _join(fusion))
    fusion.eval()
    assert torch.equal(_join(fusion), _join(fusion))


def test_dropout_acts_on_the_plain_concatenation() -> None:
    fusion = Concat(hidden=(), dropout=0.5).build(30, 20)
    image, question = torch.ones(8, 30), torch.ones(8, 20)
    assert set(fusion(image, question).unique().tolist()) == {0.0, 2.0}
    assert fusion.eval()(image, question).tolist() == [[1.0] * 50] * 8
    assert not fusion.state_dict()
