"""Hard attention: what is drawn, what evaluation looks at, and that both estimators learn the right thing."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from vqa.model.attention import Hard
from vqa.model.config import ModelConfig, Sizes
from vqa.model.types import Choices, EncodedText, Targets

POSITIONS, DIM, ASKED = 4, 3, 2


def _module(**fields: Any) -> Any:
    torch.manual_seed(0)
    return Hard(hidden=6, **fields).build(DIM, (2, 2), ASKED).double()


def _inputs(batch: int) -> tuple[Tensor, EncodedText, Tensor]:
    """The same question about the same picture, again and again."""
    torch.manual_seed(1)
    grid = torch.randn(1, POSITIONS, DIM).double()
    question = EncodedText(torch.randn(1, ASKED).double().expand(batch, -1))
    return grid, question, torch.zeros(batch, dtype=torch.long)


def _policy(module: Any) -> Tensor:
    grid, question, where = _inputs(1)
    policy: Tensor = module.scores(grid, question.vector, where).softmax(2)[0, 0]
    return policy


@pytest.mark.parametrize("estimator", ["reinforce", "straight-through"])
def test_it_draws_from_its_policy(estimator: Any) -> None:
    module, batch = _module(estimator=estimator), 20_000
    grid, question, where = _inputs(batch)
    attended = module.train()(grid, question, where)
    assert attended.weights.unique().tolist() == [0, 1]
    assert (attended.weights.sum(2) == 1).all()
    places = attended.weights[:, 0].argmax(1)
    torch.testing.assert_close(attended.vector, grid[0, places])
    share = torch.bincount(places, minlength=POSITIONS) / batch
    torch.testing.assert_close(share.double(), _policy(module), rtol=0, atol=0.015)


@pytest.mark.parametrize("estimator", ["reinforce", "straight-through"])
def test_evaluation_looks_at_the_likeliest(estimator: Any) -> None:
    module = _module(estimator=estimator).eval()
    grid, question, where = _inputs(50)
    attended = module(grid, question, where)
    assert set(attended.weights[:, 0].argmax(1).tolist()) == {int(_policy(module).argmax())}
    assert attended.policy is None
    assert module.loss(attended, torch.rand(50)) is None


def _gradients(module: Any, value: Tensor) -> list[Tensor]:
    parameters = [p for p in module.parameters() if p.requires_grad]
    return list(torch.autograd.grad(value, parameters))


def test_reinforce_has_the_gradient_of_the_expected_loss() -> None:
    """Enumerated: Σ π(p) ℓ(p), less the entropy's share; a baseline changes nothing in the mean."""
    module, batch = _module(estimator="reinforce", entropy=0.3), 40_000
    losses = torch.tensor([3.0, -1.0, 0.5, 2.0]).double()
    policy = _policy(module)
    expected = (policy * losses).sum() + 0.3 * (policy * policy.log()).sum()
    grid, question, where = _inputs(batch)
    attended = module.train()(grid, question, where)
    module.baseline.fill_(0.7)
    module.baseline_weight.fill_(1.0)
    value = module.loss(attended, losses[attended.weights[:, 0].argmax(1)])
    for got, wanted in zip(_gradients(module, value), _gradients(module, expected), strict=True):
        torch.testing.assert_close(got, wanted, rtol=0.1, atol=0.02)


def test_the_baseline_is_a_moving_mean_and_in_the_state() -> None:
    module = _module(estimator="reinforce", baseline_momentum=0.5, entropy=0.0)
    grid, question, where = _inputs(2)
    baseline = None
    for mean in (4.0, 2.0, 8.0):
        attended = module.train()(grid, question, where)
        value = module.loss(attended, torch.full((2,), mean))
        advantage = mean - (mean if baseline is None else baseline)
        drawn = (attended.policy * attended.weights).sum((1, 2)).mean()
        torch.testing.assert_close(value, advantage * drawn)
        baseline = float(module.baseline / module.baseline_weight)
    # Weights ½ for the last, ¼, ⅛, and their sum below.
    assert baseline == pytest.approx((8 / 2 + 2 / 4 + 4 / 8) / (7 / 8))
    assert {"baseline", "baseline_weight"} <= module.state_dict().keys()


def test_straight_through_has_the_gradient_of_the_soft_draw() -> None:
    module = _module(temperature=0.5)
    grid, question, where = _inputs(6)
    torch.manual_seed(7)
    hard = module.train()(grid, question, where)
    torch.manual_seed(7)
    policy = module.scores(grid, question.vector, where).log_softmax(2)
    noise = -torch.empty_like(policy).exponential_().log()
    soft = ((policy + noise) / 0.5).softmax(2)
    assert torch.equal(hard.weights[:, 0].argmax(1), soft[:, 0].argmax(1))
    assert hard.policy is None
    target = torch.randn(6, DIM).double()
    seen = torch.bmm(soft, grid.expand(6, -1, -1))[:, 0]
    pairs = (
        _gradients(module, (hard.vector * target).sum()),
        _gradients(module, (seen * target).sum()),
    )
    for got, wanted in zip(*pairs, strict=True):
        torch.testing.assert_close(got, wanted)


@pytest.mark.parametrize("estimator", ["reinforce", "straight-through"])
def test_it_learns_where_to_look(estimator: Any) -> None:
    """One position of four is marked and holds the answer; whoever looks anywhere is right five times of eight."""
    torch.manual_seed(0)
    config = ModelConfig.model_validate(
        {
            "image_encoder": {"name": "small", "channels": [8], "strides": [1], "kernel": 1},
            "question_encoder": {"name": "gru", "dim": 4, "embedding_dim": 4},
            "attention": {"name": "hard", "hidden": 16, "estimator": estimator},
            "fusion": {"name": "multiply", "dim": 16},
        }
    )
    network = config.build(Sizes(2, 2, words=2, answers=2))
    optimizer = torch.optim.Adam(network.parameter_groups(0.01))
    where, words = (
        torch.arange(128),
        torch.nn.utils.rnn.pack_sequence([torch.zeros(1).long()] * 128),
    )
    for _ in range(150):
        images, place = torch.rand(128, 3, 4), torch.randint(4, (128,))
        answer = torch.randint(2, (128,))
        images[:, 0], images[:, 1] = 0, torch.randint(2, (128, 4)).float()
        images[where, 0, place] = 1
        images[where, 1, place] = answer.float()
        targets = Targets(answer[:, None], torch.ones(128, 1), torch.full((128,), -1))
        output = network.train()(images.view(128, 3, 2, 2), where, words)
        optimizer.zero_grad()
        network.loss(output, targets, None).total.backward()
        optimizer.step()
    output = network.eval()(images.view(128, 3, 2, 2), where, words)
    assert (output.scores.argmax(1) == answer).float().mean() > 0.9


def test_only_what_is_added_teaches_reinforce_where_to_look(
    words, image_of_question: Tensor, choices: Choices, targets: Targets
) -> None:
    config = ModelConfig.model_validate({"attention": {"name": "hard", "estimator": "reinforce"}})
    network = config.build(Sizes(32, 32, words=12, answers=5))
    output = network(torch.rand(3, 3, 32, 32), image_of_question, words)
    loss = network.loss(output, targets, choices)
    torch.testing.assert_close(
        loss.answers, network.head.losses(output.scores, targets, choices).mean()
    )
    weight = network.attention.score.weight
    assert torch.autograd.grad(loss.answers, weight, retain_graph=True, allow_unused=True) == (
        None,
    )
    assert torch.autograd.grad(loss.total, weight)[0].any()
