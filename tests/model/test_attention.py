"""Attention against references that loop, and what its weights keep to."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from vqa.errors import ModelError
from vqa.model.attention import NoAttention, Soft, Stacked
from vqa.model.types import EncodedText

RANDOM = torch.Generator().manual_seed(0)
GRID = torch.randn(3, 6, 7, generator=RANDOM).double()
QUESTION = EncodedText(torch.randn(6, 5, generator=RANDOM).double())
LOOKING = [Soft(glimpses=2, hidden=4), Soft(hidden=4, activation="tanh"), Stacked(dim=8, hidden=4)]


def _soft_reference(module: Any, image: Tensor, question: Tensor) -> Tensor:
    asked = module.project_question.weight @ question + module.project_question.bias
    scores = torch.stack(
        [
            module.score.weight @ (module.project_image.weight @ cell + asked).relu()
            for cell in image
        ]
    )
    weights = scores.softmax(0)  # [positions, glimpses]
    seen = [sum(w * cell for w, cell in zip(column, image, strict=True)) for column in weights.T]
    return torch.cat(seen)


def test_soft_equals_its_formula(image_of_question: Tensor) -> None:
    module = Soft(glimpses=2, hidden=4).build(7, (2, 3), 5).double()
    got = module(GRID, QUESTION, image_of_question).vector
    pairs = zip(image_of_question.tolist(), QUESTION.vector, strict=True)
    expected = torch.stack([_soft_reference(module, GRID[i], q) for i, q in pairs])
    torch.testing.assert_close(got, expected)


def _stacked_reference(module: Any, image: Tensor, query: Tensor) -> Tensor:
    layer = module.project_image[1]
    cells = (image @ layer.weight.T + layer.bias).tanh()
    query = module.project_question.weight @ query + module.project_question.bias
    for hop in module.hops:
        asked = hop.project_query.weight @ query + hop.project_query.bias
        met = (cells @ hop.project_grid.weight.T + asked).tanh()
        weights = (met @ hop.score[1].weight[0]).softmax(0)
        query = query + weights @ cells
    return query


def test_stacked_equals_its_formula(image_of_question: Tensor) -> None:
    module = Stacked(dim=8, hidden=4, hops=3).build(7, (2, 3), 5).double()
    attended = module(GRID, QUESTION, image_of_question)
    pairs = zip(image_of_question.tolist(), QUESTION.vector, strict=True)
    expected = torch.stack([_stacked_reference(module, GRID[i], q) for i, q in pairs])
    torch.testing.assert_close(attended.vector, expected)
    assert attended.weights.shape == (6, 3, 6)


@pytest.mark.parametrize("config", LOOKING, ids=lambda config: config.name)
def test_weights_are_shares_of_the_grid(config: Any, image_of_question: Tensor) -> None:
    module = config.build(7, (2, 3), 5).double()
    weights = module(GRID, QUESTION, image_of_question).weights
    assert (weights >= 0).all()
    torch.testing.assert_close(weights.sum(2), torch.ones_like(weights[:, :, 0]))


@pytest.mark.parametrize("config", [*LOOKING, NoAttention()], ids=lambda config: config.name)
def test_an_image_once_for_all_its_questions_changes_nothing(
    config: Any, image_of_question: Tensor
) -> None:
    module = config.build(7, (2, 3), 5).double()
    grouped = module(GRID, QUESTION, image_of_question).vector
    repeated = module(GRID[image_of_question], QUESTION, torch.arange(6)).vector
    torch.testing.assert_close(grouped, repeated)


def test_attention_learns_where_to_look() -> None:
    """One cell of the grid is marked; the vector must become what that cell holds."""
    torch.manual_seed(0)
    module = Soft(hidden=16).build(4, (3, 3), 1)
    optimizer = torch.optim.Adam(module.parameters(), lr=0.02)
    where = torch.arange(64)
    question = EncodedText(torch.ones(64, 1))
    for _ in range(150):
        grid, place = torch.randn(64, 9, 4), torch.randint(9, (64,))
        grid[:, :, 0] = 0
        grid[where, place, 0] = 3
        loss = (module(grid, question, where).vector - grid[where, place]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    attended = module(grid, question, where)
    assert (attended.weights[:, 0].argmax(1) == place).float().mean() > 0.95


def test_pooling(image_of_question: Tensor) -> None:
    mean = NoAttention().build(7, (2, 3), 5)(GRID, QUESTION, image_of_question)
    torch.testing.assert_close(mean.vector, GRID.mean(1)[image_of_question])
    assert mean.weights is None
    flat = NoAttention(pool="flatten").build(7, (2, 3), 5)(GRID, QUESTION, image_of_question)
    torch.testing.assert_close(flat.vector, GRID.reshape(3, 42)[image_of_question])


def test_a_huge_flattened_grid_is_refused_with_the_numbers() -> None:
    with pytest.raises(ModelError, match=r"14×14×2048 has 401,408 values.*mean"):
        NoAttention(pool="flatten").build(2048, (14, 14), 5)
