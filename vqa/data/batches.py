"""From a table of questions and a bank of pictures to the tensors of a batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, islice
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from vqa.data.table import ChoiceTable, QuestionTable
from vqa.data.text import Texts
from vqa.model.types import Choices, Targets

ALIGNMENT = 16
"""Bytes at whose multiples each array of a parcel begins."""


@dataclass(frozen=True)
class Batch:
    """Some questions with their pictures, each picture and each text once.

    Attributes:
        index: positions of the questions in their table (on the CPU).
        images: the pictures, 0…255, or their grids, where they have been encoded before.
        image_of_question: place of each question's picture in `images`.
        words: the packed tokens of the distinct questions.
        text_of_question: place of each question's text among `words`.
        share: what this process's loss counts for, so that the mean over processes is the mean over questions.
        whole: questions of the batch over all processes; None outside of training.
    """

    index: np.ndarray
    images: UInt8[Tensor, "images 3 height width"] | Float[Tensor, "images positions channels"]
    image_of_question: Int[Tensor, " batch"]
    words: PackedSequence
    text_of_question: Int[Tensor, " batch"]
    choices: Choices | None
    targets: Targets
    share: float = 1.0
    whole: int | None = None

    def __len__(self) -> int:
        return len(self.index)


def entering(images: Tensor) -> Tensor:
    """A batch's pictures or grids as the network takes them: pixels in 0…1, grids in the type that it computes in."""
    if not images.is_floating_point():
        return images.float().div_(255)
    device = images.device.type
    half = torch.is_autocast_enabled(device)
    return images.to(torch.get_autocast_dtype(device) if half else torch.float32)


@dataclass(frozen=True)
class Batcher:
    """Gathers batches of one split onto a device."""

    table: QuestionTable
    device: torch.device

    def gather(
        self,
        index: np.ndarray,
        images: Tensor,
        image_of_question: np.ndarray,
        share: float = 1.0,
        whole: int | None = None,
    ) -> Batch:
        """Join the questions at `index` with pictures that were fetched already."""
        table = self.table
        distinct, text = np.unique(table.text[index], return_inverse=True)
        targets = (
            table.answer_id[index].astype(np.int64),
            table.weight[index],
            table.label[index].astype(np.int64),
        )
        words = _Words.of(table.texts, distinct)
        choices = None if table.choices is None else _Choices.of(table.choices, index)
        parts = {
            "targets": targets,
            "places": (image_of_question, text),
            "words": words.arrays,
            "choices": () if choices is None else choices.arrays,
        }
        sent = send_parts(parts, self.device)
        image_place, text_place = sent["places"]
        return Batch(
            index=index,
            images=images,
            image_of_question=image_place,
            words=words.packed(*sent["words"]),
            text_of_question=text_place,
            choices=None if choices is None else choices.placed(*sent["choices"]),
            targets=Targets(*sent["targets"]),
            share=share,
            whole=whole,
        )


class _Words(NamedTuple):
    """Texts that are to be packed: time-major, longest first, no padding anywhere.

    Attributes:
        arrays: the ids, the order in which the texts stand, and its inverse.
        batch_sizes: texts that have a word at each step.
    """

    arrays: tuple[np.ndarray, np.ndarray, np.ndarray]
    batch_sizes: np.ndarray

    @classmethod
    def of(cls, texts: Texts, index: np.ndarray) -> _Words:
        """The texts at `index`."""
        starts = texts.offsets[index]
        lengths = texts.offsets[index + 1] - starts  # of these alone: there may be half a million
        order = np.argsort(-lengths, kind="stable")
        starts, lengths = starts[order], lengths[order]
        step = np.arange(lengths[0] if len(lengths) else 0)[:, None]
        present = step < lengths
        ids = texts.ids[(starts + step)[present]].astype(np.int64)
        inverse = np.empty_like(order)
        inverse[order] = np.arange(len(order))
        return cls((ids, order, inverse), present.sum(1))

    def packed(self, ids: Tensor, order: Tensor, inverse: Tensor) -> PackedSequence:
        """With what has become of the arrays."""
        return PackedSequence(ids, torch.from_numpy(self.batch_sizes), order, inverse)


class _Choices(NamedTuple):
    """Choices of some questions, each distinct text once.

    Attributes:
        words: the texts.
        own: of every choice its text, its question and its answer id.
    """

    words: _Words
    own: tuple[np.ndarray, np.ndarray, np.ndarray]

    @classmethod
    def of(cls, table: ChoiceTable, index: np.ndarray) -> _Choices | None:
        """The choices of the questions at `index`; None where there are none."""
        counts = table.offsets[index + 1] - table.offsets[index]
        if not counts.sum():
            return None
        question = np.repeat(np.arange(len(index)), counts)
        within = np.arange(len(question)) - np.repeat(np.cumsum(counts) - counts, counts)
        flat = np.repeat(table.offsets[index], counts) + within
        distinct, text = np.unique(table.text[flat], return_inverse=True)
        return cls(_Words.of(table.texts, distinct), (text, question, table.answer_id[flat]))

    @property
    def arrays(self) -> tuple[np.ndarray, ...]:
        """All that is sent."""
        return (*self.words.arrays, *self.own)

    def placed(self, ids: Tensor, order: Tensor, inverse: Tensor, *own: Tensor) -> Choices:
        """With what has become of the arrays."""
        return Choices(self.words.packed(ids, order, inverse), *own)


def pack(texts: Texts, index: np.ndarray, device: torch.device) -> PackedSequence:
    """The texts at `index` as one packed sequence: time-major, longest first, no padding anywhere."""
    words = _Words.of(texts, index)
    return words.packed(*send(words.arrays, device))


def gather_choices(table: ChoiceTable, index: np.ndarray, device: torch.device) -> Choices | None:
    """The choices of the questions at `index`, each distinct text encoded once; None where there are none."""
    choices = _Choices.of(table, index)
    return None if choices is None else choices.placed(*send(choices.arrays, device))


def send_parts(
    parts: Mapping[str, Sequence[np.ndarray]], device: torch.device
) -> dict[str, list[Tensor]]:
    """As `send`, all parts at once, each under its name."""
    sent = iter(send([array for part in parts.values() for array in part], device))
    return {name: list(islice(sent, len(part))) for name, part in parts.items()}


def send(arrays: Sequence[np.ndarray], device: torch.device) -> list[Tensor]:
    """Arrays on a device, in their order."""
    if device.type == "cpu":
        return [torch.from_numpy(array) for array in arrays]
    return send_together(arrays, device)


def send_together(arrays: Sequence[np.ndarray], device: torch.device) -> list[Tensor]:
    """Arrays on a device by one copy. What comes back shares one memory: to autograd a change of one in place is one
    of all."""
    sizes = [-(-array.nbytes // ALIGNMENT) * ALIGNMENT for array in arrays]
    starts = [*accumulate(sizes, initial=0)]
    parcel = torch.empty(starts[-1], dtype=torch.uint8, pin_memory=device.type == "cuda")
    content = parcel.numpy()
    for start, array in zip(starts, arrays, strict=False):
        content[start : start + array.nbytes] = (
            np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        )
    sent = parcel.to(device, non_blocking=True)
    return [
        sent[start : start + array.nbytes].view(torch.from_numpy(array[:0]).dtype).view(array.shape)
        for start, array in zip(starts, arrays, strict=False)
    ]
