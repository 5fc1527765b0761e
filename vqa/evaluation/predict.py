"""From a trained network to predictions: every question once, whatever the number of processes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from vqa.data.bank import ImageBank
from vqa.data.batches import Batch, Batcher
from vqa.data.order import shares
from vqa.data.store import Store
from vqa.data.table import QuestionTable
from vqa.data.text import AnswerVocabulary
from vqa.evaluation.predictions import Prediction
from vqa.model.network import Network
from vqa.model.segment import segment_log_softmax
from vqa.model.types import Choices, Output

TOP = 5
DIGITS = 6
PROBABILITY_LOSS = "soft_bce"


@dataclass(frozen=True)
class Predictor:
    """A network on a device, ready to be asked.

    Attributes:
        network: in evaluation mode while it is asked.
        autocast: the dtype of matrix products; None for the network's own.
        independent: each answer has a probability of its own (a sigmoid), instead of one over all.
    """

    network: Network
    device: torch.device
    autocast: torch.dtype | None = None
    independent: bool = False

    def outputs(
        self, table: QuestionTable, bank: ImageBank, batch_size: int, rank: int = 0, world: int = 1
    ) -> Iterator[tuple[Batch, Output]]:
        """Ask every question of `table` that is this process's, an image's questions together.

        The batches are the same for any `world`; the processes take turns at them.
        """
        by_image = np.argsort(table.image, kind="stable")
        batcher = Batcher(table, self.device)
        for part in shares(len(table), batch_size, rank, world):
            index = by_image[part]
            distinct, image_of_question = np.unique(table.image[index], return_inverse=True)
            batch = batcher.gather(index, bank.fetch(distinct), image_of_question)
            yield batch, self.ask(batch)

    def ask(self, batch: Batch) -> Output:
        """One forward pass in evaluation mode; scores in float32."""
        was_training = self.network.training
        self.network.eval()
        try:
            with (
                torch.no_grad(),
                torch.autocast(
                    self.device.type, dtype=self.autocast, enabled=self.autocast is not None
                ),
            ):
                images = batch.images.float().div_(255)
                output: Output = self.network(
                    images, batch.image_of_question, batch.words, batch.choices
                )
        finally:
            self.network.train(was_training)
        return output._replace(scores=output.scores.float())

    def probabilities(
        self, scores: Float[Tensor, "batch answers"]
    ) -> Float[Tensor, "batch answers"]:
        """The probability of each answer of a classifier."""
        return scores.sigmoid() if self.independent else scores.softmax(1)

    def accuracy_sums(
        self, table: QuestionTable, bank: ImageBank, batch_size: int, rank: int = 0, world: int = 1
    ) -> Float[Tensor, 2]:
        """Sum of the questions' scores and their number, on the device: what validation needs.

        A question with choices scores 1 for the right one (a tie its chance), an open one its soft
        score.
        """
        sums = torch.zeros(2, dtype=torch.float64, device=self.device)
        for batch, output in self.outputs(table, bank, batch_size, rank, world):
            sums[0] += self._scores(batch, output).double().sum()
            sums[1] += len(batch)
        return sums

    def _scores(self, batch: Batch, output: Output) -> Float[Tensor, " batch"]:
        if batch.choices is not None and bool((batch.targets.label >= 0).any()):
            scores = self.network.head.choice_scores(output.scores, batch.choices)
            return _right_choice(scores, batch.choices, batch.targets.label)
        said = output.scores.argmax(1, keepdim=True)
        return ((batch.targets.answer_id == said) * batch.targets.weight).sum(1)


def _right_choice(scores: Tensor, choices: Choices, label: Tensor) -> Float[Tensor, " batch"]:
    """1 where the right choice alone scores highest, 1/n where it ties with n − 1 others, else
    0."""
    count = len(label)
    best = scores.new_full((count,), -torch.inf).scatter_reduce(0, choices.question, scores, "amax")
    is_best = (scores == best[choices.question]) & (scores > -torch.inf)
    ties = scores.new_zeros(count).index_add(0, choices.question, is_best.to(scores.dtype))
    starts = torch.searchsorted(choices.question, torch.arange(count, device=label.device))
    right = (starts + label.clamp(min=0)).clamp(max=len(scores) - 1)
    return torch.where((label >= 0) & is_best[right], 1 / ties.clamp(min=1), 0.0)


class Said(NamedTuple):
    """What a network said to one question."""

    answer: str | None
    confidence: float | None
    top: list[tuple[str, float]]
    choice_scores: list[float | None]


def read_output(
    predictor: Predictor,
    batch: Batch,
    output: Output,
    choices: Sequence[Sequence[str]],
    vocabulary: AnswerVocabulary,
) -> list[Said]:
    """Turn scores into answers, for every question of a batch; `choices` are the questions' choice
    texts."""
    chosen: list[Said | None] = [None] * len(batch)
    if batch.choices is not None:
        chosen = _read_choices(predictor, batch.choices, output, choices)
    if all(said is not None for said in chosen) or predictor.network.choices_are_read:
        return [said or Said(None, None, [], []) for said in chosen]
    answered = _read_answers(predictor, output, vocabulary)
    return [said or other for said, other in zip(chosen, answered, strict=True)]


def _read_answers(predictor: Predictor, output: Output, vocabulary: AnswerVocabulary) -> list[Said]:
    best = predictor.probabilities(output.scores).topk(min(TOP, len(vocabulary)), dim=1)
    said = []
    for probabilities, ids in zip(best.values.tolist(), best.indices.tolist(), strict=True):
        top = [
            (vocabulary.answers[i], round(p, DIGITS))
            for i, p in zip(ids, probabilities, strict=True)
        ]
        said.append(Said(top[0][0], top[0][1], top, []))
    return said


def _read_choices(
    predictor: Predictor, packed: Choices, output: Output, choices: Sequence[Sequence[str]]
) -> list[Said | None]:
    scores = predictor.network.head.choice_scores(output.scores, packed)
    probabilities = segment_log_softmax(scores, packed.question, len(choices)).exp().tolist()
    values, start = scores.tolist(), 0
    said: list[Said | None] = []
    for group in choices:
        end = start + len(group)
        said.append(_best(group, values[start:end], probabilities[start:end]) if group else None)
        start = end
    return said


def _best(choices: Sequence[str], scores: list[float], probabilities: list[float]) -> Said:
    sayable = [i for i, score in enumerate(scores) if score > -np.inf]
    rounded = [round(score, DIGITS) if score > -np.inf else None for score in scores]
    if not sayable:
        return Said(None, None, [], rounded)
    best = max(sayable, key=lambda i: scores[i])
    return Said(choices[best], round(min(1.0, probabilities[best]), DIGITS), [], rounded)


def predict(
    predictor: Predictor,
    store: Store,
    table: QuestionTable,
    bank: ImageBank,
    vocabulary: AnswerVocabulary,
    batch_size: int,
    rank: int = 0,
    world: int = 1,
) -> list[Prediction]:
    """The predictions of this process's questions, beside what is right, in the order of the
    table."""
    found: dict[int, Prediction] = {}
    for batch, output in predictor.outputs(table, bank, batch_size, rank, world):
        examples = [store.example(int(row)) for row in table.rows[batch.index]]
        said = read_output(
            predictor, batch, output, [example.choices for example in examples], vocabulary
        )
        for i, example, one in zip(batch.index.tolist(), examples, said, strict=True):
            found[i] = Prediction(
                question_id=example.question_id,
                image_id=example.image_id,
                split=example.split,
                question=example.question,
                question_type=example.question_type,
                answer_type=example.answer_type,
                answers=example.answers,
                choices=example.choices,
                label=example.label,
                **one._asdict(),
            )
    return [found[i] for i in sorted(found)]
