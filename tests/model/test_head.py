"""Heads: losses against dense references, choices of any number."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from vqa.errors import ModelError
from vqa.model.head import Chooser, Classifier
from vqa.model.head.classifier import soft_binary_cross_entropy, soft_cross_entropy
from vqa.model.types import Choices, Targets

ANSWERS = 5
Criterion = Callable[[Tensor, Targets], Tensor]


def _dense(targets: Targets) -> Tensor:
    dense = torch.zeros(len(targets.label), ANSWERS)
    for row, (ids, weights) in enumerate(zip(targets.answer_id, targets.weight, strict=True)):
        for answer, weight in zip(ids.tolist(), weights.tolist(), strict=True):
            if answer >= 0:
                dense[row, answer] = weight
    return dense


def test_cross_entropy_equals_the_dense_one(targets: Targets) -> None:
    scores, dense = torch.randn(6, ANSWERS), _dense(targets)
    known = dense.sum(1) > 0
    shares = dense[known] / dense[known].sum(1, keepdim=True)
    expected = functional.cross_entropy(scores[known], shares, reduction="sum") / 6
    torch.testing.assert_close(soft_cross_entropy(scores, targets).mean(), expected)


def test_binary_cross_entropy_equals_the_dense_one(targets: Targets) -> None:
    scores, dense = torch.randn(6, ANSWERS), _dense(targets)
    known = dense.sum(1) > 0
    expected = functional.binary_cross_entropy_with_logits(
        scores[known], dense[known], reduction="sum"
    )
    torch.testing.assert_close(soft_binary_cross_entropy(scores, targets).mean(), expected / 6)


@pytest.mark.parametrize("criterion", [soft_cross_entropy, soft_binary_cross_entropy])
def test_questions_without_a_sayable_answer_teach_nothing(
    criterion: Criterion, targets: Targets
) -> None:
    scores = torch.randn(6, ANSWERS, requires_grad=True)
    criterion(scores, targets).sum().backward()
    assert scores.grad is not None
    assert scores.grad.isfinite().all()
    assert scores.grad.any(1).tolist() == [True, True, True, True, False, True]
    none = Targets(torch.full((6, 1), -1), torch.zeros(6, 1), targets.label)
    assert criterion(scores, none).tolist() == [0] * 6


@pytest.mark.parametrize("criterion", [soft_cross_entropy, soft_binary_cross_entropy])
def test_losses_stand_extreme_half_precision_scores(criterion: Criterion, targets: Targets) -> None:
    scores = (torch.randn(6, ANSWERS) * 3e4).clamp(-6e4, 6e4).half()
    assert criterion(scores, targets).isfinite().all()


def test_the_classifier_answers_choices_by_its_scores(choices: Choices) -> None:
    head = Classifier().build(8, ANSWERS, 0)
    scores = torch.arange(30.0).view(6, 5)
    got = head.choice_scores(scores, choices)
    inf = float("inf")
    assert got.tolist() == [0, 1, 6, -inf, 8, 10, 20, 21, -inf, 23, -inf, 25]


def _choices(counts: list[int], template: Choices) -> Choices:
    question = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    text = torch.arange(len(question)) % 4
    return Choices(template.words, text, question, torch.full_like(text, -1))


def test_choosing_among_any_number_equals_a_softmax_each(choices: Choices) -> None:
    head = Chooser().build(8, ANSWERS, 4)
    counts, labels = [2, 3, 1, 0, 4, 2], [1, 0, -1, -1, 3, 1]
    flat = _choices(counts, choices)
    targets = Targets(torch.full((6, 1), -1), torch.zeros(6, 1), torch.tensor(labels))
    scores = torch.randn(12)
    rows = scores.split(counts)
    pairs = [(row, label) for row, label in zip(rows, labels, strict=True) if label >= 0]
    expected = -sum(row.log_softmax(0)[label] for row, label in pairs) / 6
    torch.testing.assert_close(head.losses(scores, targets, flat).mean(), expected)
    assert head.choice_scores(scores, flat) is scores


def test_questions_without_label_teach_the_chooser_nothing(
    choices: Choices, targets: Targets
) -> None:
    head = Chooser().build(8, ANSWERS, 4)
    scores = torch.randn(12, requires_grad=True)
    head.losses(scores, targets, choices).mean().backward()
    assert scores.grad is not None
    by_question = torch.zeros(6).index_add(0, choices.question, scores.grad.abs())
    # One choice alone, no choice, no label: nothing to learn.
    assert (by_question > 0).tolist() == [True, True, False, False, True, False]


def test_a_score_depends_on_the_choice_and_its_question_alone(choices: Choices) -> None:
    head = Chooser(dim=6).build(8, ANSWERS, 4).eval()
    fused, offered = torch.randn(6, 8), torch.randn(4, 4)
    scores = head(fused, offered, choices)
    for place in range(12):
        question, text = choices.question[place], choices.text[place]
        alone = Choices(choices.words, torch.tensor([0]), torch.tensor([0]), torch.tensor([-1]))
        score = head(fused[question][None], offered[text][None], alone)
        torch.testing.assert_close(score, scores[place : place + 1])


def test_a_chooser_without_choices_says_so() -> None:
    head = Chooser().build(8, ANSWERS, 4)
    with pytest.raises(ModelError, match="no choices"):
        head(torch.randn(6, 8), None, None)
