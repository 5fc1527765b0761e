"""From a table of questions and a bank of pictures to the tensors of a batch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from vqa.data.table import ChoiceTable, QuestionTable
from vqa.data.text import Texts
from vqa.model.types import Choices, Targets


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
        targets = Targets(
            self._tensor(table.answer_id[index].astype(np.int64)),
            self._tensor(table.weight[index]),
            self._tensor(table.label[index].astype(np.int64)),
        )
        distinct, text = np.unique(table.text[index], return_inverse=True)
        return Batch(
            index=index,
            images=images,
            image_of_question=self._tensor(image_of_question),
            words=pack(table.texts, distinct, self.device),
            text_of_question=self._tensor(text),
            choices=None
            if table.choices is None
            else gather_choices(table.choices, index, self.device),
            targets=targets,
            share=share,
            whole=whole,
        )

    def _tensor(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(array).to(self.device, non_blocking=True)


def pack(texts: Texts, index: np.ndarray, device: torch.device) -> PackedSequence:
    """The texts at `index` as one packed sequence: time-major, longest first, no padding anywhere."""
    starts = texts.offsets[index]
    lengths = texts.offsets[index + 1] - starts  # of these alone: there may be half a million
    order = np.argsort(-lengths, kind="stable")
    starts, lengths = starts[order], lengths[order]
    step = np.arange(lengths[0] if len(lengths) else 0)[:, None]
    present = step < lengths
    ids = texts.ids[(starts + step)[present]].astype(np.int64)
    inverse = np.empty_like(order)
    inverse[order] = np.arange(len(order))
    return PackedSequence(
        torch.from_numpy(ids).to(device, non_blocking=True),
        torch.from_numpy(present.sum(1)),
        torch.from_numpy(order).to(device, non_blocking=True),
        torch.from_numpy(inverse).to(device, non_blocking=True),
    )


def gather_choices(table: ChoiceTable, index: np.ndarray, device: torch.device) -> Choices | None:
    """The choices of the questions at `index`, each distinct text encoded once; None where there are none."""
    counts = table.offsets[index + 1] - table.offsets[index]
    if not counts.sum():
        return None
    question = np.repeat(np.arange(len(index)), counts)
    within = np.arange(len(question)) - np.repeat(np.cumsum(counts) - counts, counts)
    flat = np.repeat(table.offsets[index], counts) + within
    distinct, text = np.unique(table.text[flat], return_inverse=True)
    place = (
        torch.from_numpy(a).to(device, non_blocking=True)
        for a in (text, question, table.answer_id[flat])
    )
    return Choices(pack(table.texts, distinct, device), *place)
