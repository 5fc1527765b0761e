"""From a trained network to predictions: every question once, whatever the number of processes.

What is guaranteed. Batches are cut the same way for any number of processes, so with one batch size
the predictions are equal to the last bit however many processes share the work. Another batch size
changes the order of float32 sums inside the network, by some 1e-7: scores are therefore rounded to
`DIGITS` decimals before anything is read off them (the answer, ties, probabilities). Answers and
scores are then the same for any batch size, save where a value lies within that noise of a rounding
boundary: there a score moves by one unit of its last decimal (about one value in a thousand). In
half precision (16-mixed, bf16-mixed) the noise is larger and only the first half holds.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, fields
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from vqa.data.ahead import ahead
from vqa.data.bank import ImageBank, is_resident, on_device
from vqa.data.batches import Batch, Batcher, entering
from vqa.data.order import shares
from vqa.data.record import Example
from vqa.data.store import Store
from vqa.data.table import QuestionTable
from vqa.data.text import AnswerVocabulary
from vqa.evaluation.multiple_choice import OutOfVocabulary
from vqa.evaluation.predictions import Prediction
from vqa.model.network import Network
from vqa.model.segment import segment_log_softmax, segment_starts
from vqa.model.types import Choices, Output

TOP = 5
DIGITS = 5
PROBABILITY_LOSS = "soft_bce"


@dataclass(frozen=True)
class Predictor:
    """A network on a device, ready to be asked.

    Attributes:
        network: in evaluation mode while it is asked.
        autocast: the dtype of matrix products; None for the network's own.
        independent: each answer has a probability of its own (a sigmoid), instead of one over all.
        out_of_vocabulary: what validation gives a question none of whose choices can be said.
    """

    network: Network
    device: torch.device
    autocast: torch.dtype | None = None
    independent: bool = False
    out_of_vocabulary: OutOfVocabulary = "mask"

    def outputs(
        self,
        table: QuestionTable,
        bank: ImageBank,
        batch_size: int,
        rank: int,
        world: int,
        only: np.ndarray | None = None,
    ) -> Generator[tuple[Batch, Output], None, None]:
        """Ask every question of `table` that is this process's, an image's questions together.

        The batches are the same for any `world`; the processes take turns at them. `only` picks
        questions by their position in the table. A question without choices is not asked where the
        network can do nothing but choose. The network is in evaluation mode until the end, or until this is closed.
        """
        batcher = Batcher(table, self.device)

        def gather(index: np.ndarray) -> Batch:
            distinct, image_of_question = np.unique(table.image[index], return_inverse=True)
            return batcher.gather(index, bank.fetch(distinct), image_of_question)

        parts = self._parts(table, batch_size, rank, world, only)
        work = (partial(gather, part) for part in parts)
        with evaluating(self.network):
            threads = 0 if is_resident(bank) else 1
            for batch in ahead(work, threads, on_device(self.device)):
                yield batch, self.ask(batch)

    def _parts(
        self,
        table: QuestionTable,
        batch_size: int,
        rank: int,
        world: int,
        only: np.ndarray | None = None,
    ) -> Iterator[np.ndarray]:
        """The questions of each of this process's batches."""
        by_image = np.argsort(table.image, kind="stable")
        if only is not None:
            by_image = by_image[np.isin(by_image, only)]
        by_image = by_image[self.can_ask(table)[by_image]]
        return (by_image[part] for part in shares(len(by_image), batch_size, rank, world))

    def images(self, table: QuestionTable, batch_size: int, rank: int, world: int) -> np.ndarray:
        """The images that this process looks at when it asks every question of its own, ascending."""
        none = np.zeros(0, dtype=np.int64)
        asked = np.concatenate([none, *self._parts(table, batch_size, rank, world)])
        found: np.ndarray = np.unique(table.image[asked])
        return found

    def common_batches(self, table: QuestionTable, batch_size: int, world: int) -> int:
        """Batches that each of `world` processes has; some have one more."""
        return sum(1 for _ in self._parts(table, batch_size, world - 1, world))

    def can_ask(self, table: QuestionTable) -> np.ndarray:
        """Whether each question of `table` can be put to the network; bool [questions]."""
        if not self.network.choices_are_read:
            return np.ones(len(table), dtype=bool)
        if table.choices is None:
            return np.zeros(len(table), dtype=bool)
        return np.diff(table.choices.offsets) > 0

    def ask(self, batch: Batch) -> Output:
        """One forward pass in evaluation mode; scores in float32."""
        kind = self.device.type
        with (
            evaluating(self.network),
            torch.no_grad(),
            torch.autocast(kind, dtype=self.autocast, enabled=self.autocast is not None),
        ):
            output: Output = self.network(
                entering(batch.images),
                batch.image_of_question,
                batch.words,
                batch.choices,
                batch.text_of_question,
            )
        return output._replace(scores=output.scores.float())

    def probabilities(
        self, scores: Float[Tensor, "batch answers"]
    ) -> Float[Tensor, "batch answers"]:
        """The probability of each answer of a classifier."""
        return scores.sigmoid() if self.independent else scores.softmax(1)

    def accuracy_sums(
        self,
        table: QuestionTable,
        bank: ImageBank,
        batch_size: int,
        rank: int = 0,
        world: int = 1,
        after: Callable[[int], object] | None = None,
    ) -> Float[Tensor, 2]:
        """Sum of the questions' scores and their number, on the device: what validation needs.

        A question whose right choice is known scores as under `multiple-choice/1`, any other its
        answer's soft score. A question that cannot be asked (see `outputs`) is not counted.

        Args:
            after: called after each of this process's batches with how many are done.
        """
        sums = torch.zeros(2, dtype=torch.float64, device=self.device)
        with closing(self.outputs(table, bank, batch_size, rank, world)) as outputs:
            for done, (batch, output) in enumerate(outputs, 1):
                sums[0] += self._scores(batch, output).double().sum()
                sums[1] += len(batch)
                if after is not None:
                    after(done)
        return sums

    def _scores(self, batch: Batch, output: Output) -> Float[Tensor, " batch"]:
        label = batch.targets.label
        picked = torch.zeros(len(batch), dtype=torch.float64, device=label.device)
        if batch.choices is not None:
            scores = rounded(self.network.head.choice_scores(output.scores, batch.choices))
            guess = self.out_of_vocabulary == "mask"
            picked = right_choice(scores, batch.choices, label, guess=guess)
        if self.network.choices_are_read:
            return picked
        said = ranking(output.scores).argmax(1, keepdim=True)
        answered = ((batch.targets.answer_id == said) * batch.targets.weight).sum(1)
        return torch.where(label >= 0, picked, answered.double())


@contextmanager
def evaluating(network: Network) -> Iterator[None]:
    """Put a network into evaluation mode, and back as it was.

    Nothing is done where it is in that mode: a CNN that torchvision cut compiles its graph anew at each change.
    """
    was_training = network.training
    if not any(part.training for part in network.modules()):
        yield
        return
    network.eval()
    try:
        yield
    finally:
        network.train(was_training)


def rounded(scores: Tensor) -> Tensor:
    """Scores in float64, rounded to `DIGITS` decimals (see the module's docstring)."""
    return scores.double().round(decimals=DIGITS)


def ranking(scores: Float[Tensor, "batch answers"]) -> Float[Tensor, "batch answers"]:
    """Rounded scores of which no two in a row are equal: of equals the first answer of the
    vocabulary, the most frequent one in training, comes first."""
    step = 10.0**-DIGITS / (2 * scores.shape[1])
    places = torch.arange(scores.shape[1], dtype=torch.float64, device=scores.device)
    return rounded(scores) - step * places


def right_choice(
    scores: Float[Tensor, " choices"],
    choices: Choices,
    label: Tensor,
    *,
    guess: bool,
) -> Float[Tensor, " batch"]:
    """The score of each question under `multiple-choice/1`, 0 to 1; 0 where its label is −1.

    The share of the best-scored choices that is right; a choice with the text of the right one is
    right too. Where no choice can be said (all −inf), `guess` gives the chance, else 0.
    """
    count = len(label)
    best = scores.new_full((count,), -torch.inf).scatter_reduce(0, choices.question, scores, "amax")
    is_best = scores == best[choices.question]
    if not guess:
        is_best = is_best & (scores > -torch.inf)
    right = segment_starts(choices.question, count) + label.clamp(min=0)
    text = choices.text[right.clamp(max=len(scores) - 1)]
    is_right = choices.text == text[choices.question]
    total = torch.zeros(count, dtype=torch.float64, device=label.device)
    ties = total.index_add(0, choices.question, is_best.double())
    hits = total.index_add(0, choices.question, (is_best & is_right).double())
    return torch.where(label >= 0, hits / ties.clamp(min=1), 0.0)


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
    ids = ranking(output.scores).topk(min(TOP, len(vocabulary)), dim=1).indices
    probabilities = predictor.probabilities(rounded(output.scores)).gather(1, ids)
    said = []
    for values, places in zip(probabilities.tolist(), ids.tolist(), strict=True):
        pairs = zip(places, values, strict=True)
        top = [(vocabulary.answers[i], round(p, DIGITS)) for i, p in pairs]
        said.append(Said(top[0][0], top[0][1], top, []))
    return said


def _read_choices(
    predictor: Predictor, packed: Choices, output: Output, choices: Sequence[Sequence[str]]
) -> list[Said | None]:
    scores = rounded(predictor.network.head.choice_scores(output.scores, packed))
    probabilities = segment_log_softmax(scores, packed.question, len(choices)).exp().tolist()
    values, start = scores.tolist(), 0
    said: list[Said | None] = []
    for group in choices:
        end = start + len(group)
        said.append(_best(group, values[start:end], probabilities[start:end]) if group else None)
        start = end
    return said


def _best(choices: Sequence[str], scores: list[float], probabilities: list[float]) -> Said:
    """The best-scored choice, of equals the first; one that cannot be said (−inf) is never it."""
    kept = [score if score > -np.inf else None for score in scores]
    sayable = [i for i, score in enumerate(kept) if score is not None]
    if not sayable:
        return Said(None, None, [], kept)
    best = max(sayable, key=lambda i: scores[i])
    return Said(choices[best], round(min(1.0, probabilities[best]), DIGITS), [], kept)


@dataclass(frozen=True)
class Exam:
    """A network before the questions of a split.

    Attributes:
        predictor: the network.
        table: the questions, tokenised.
        choices: the texts of every question's choices; their tokens stand in `table`.
        bank: the pictures that `table.image` counts.
        vocabulary: what a classifier can say.
        batch_size: questions a forward pass.
    """

    predictor: Predictor
    table: QuestionTable
    choices: Sequence[Sequence[str]]
    bank: ImageBank
    vocabulary: AnswerVocabulary
    batch_size: int

    def say(self, rank: int = 0, world: int = 1, only: np.ndarray | None = None) -> dict[int, Said]:
        """What the network says to this process's questions, by their position in the table and in
        its order; `only` picks some. To a question that cannot be asked it says nothing.
        """
        found: dict[int, Said] = self._unasked(only) if rank == 0 else {}
        outputs = self.predictor.outputs(self.table, self.bank, self.batch_size, rank, world, only)
        with closing(outputs):
            for batch, output in outputs:
                choices = [self.choices[i] for i in batch.index]
                said = read_output(self.predictor, batch, output, choices, self.vocabulary)
                found.update(zip(batch.index.tolist(), said, strict=True))
        return dict(sorted(found.items()))

    def _unasked(self, only: np.ndarray | None) -> dict[int, Said]:
        places = np.flatnonzero(~self.predictor.can_ask(self.table))
        if only is not None:
            places = places[np.isin(places, only)]
        return dict.fromkeys(places.tolist(), Said(None, None, [], []))


def predict(exam: Exam, store: Store, rank: int = 0, world: int = 1) -> list[Prediction]:
    """The predictions of this process's questions, beside what is right, in the order of the
    table."""
    said = exam.say(rank, world)
    asked = questions_of(store, exam.table.rows[list(said)])
    return [
        item.with_said(one.answer, one.choice_scores, one.top, one.confidence)
        for item, one in zip(asked, said.values(), strict=True)
    ]


def questions_of(store: Store, rows: np.ndarray) -> list[Prediction]:
    """The examples at `rows` as predictions with nothing said."""
    names = [item.name for item in fields(Example)]
    columns = (store.column(name, rows) for name in names)
    return [
        Prediction(**dict(zip(names, values, strict=True))) for values in zip(*columns, strict=True)
    ]
