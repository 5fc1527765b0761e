"""Whether losses stay finite, asked so that nothing waits for it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vqa.errors import NonFiniteLossError
from vqa.training.materials import QuestionIds

QUESTIONS_NAMED = 3


@dataclass(frozen=True)
class Seen:
    """A loss that has not been looked at."""

    step: int
    index: np.ndarray
    loss: Tensor


class FiniteWatch:
    """Losses since they were last looked at. On a CPU each is looked at as it comes; a GPU would have to end all its
    work for it, so there they are looked at together before anything is recorded or saved.

    Attributes:
        question_ids: of the training questions.
    """

    def __init__(self) -> None:
        self.question_ids: QuestionIds | Sequence[str] | None = None
        self._seen: list[Seen] = []

    def see(self, loss: Tensor, index: np.ndarray, step: int) -> None:
        """Take the loss of the questions at `index`.

        Raises:
            NonFiniteLossError: as `look`, on a CPU.
        """
        self._seen.append(Seen(step, index, loss.detach()))
        if loss.device.type == "cpu":
            self.look()

    def look(self) -> None:
        """Look at what was taken since the last look.

        Raises:
            NonFiniteLossError: a loss is NaN or infinite; the first one is named.
        """
        seen, self._seen = self._seen, []
        if not seen:
            return
        for one, value in zip(seen, torch.stack([one.loss for one in seen]).tolist(), strict=True):
            if not math.isfinite(value):
                raise self._refusal(one, value)

    def _refusal(self, seen: Seen, value: float) -> NonFiniteLossError:
        assert self.question_ids is not None
        named = [self.question_ids[int(place)] for place in seen.index[:QUESTIONS_NAMED]]
        more = len(seen.index) - len(named)
        ids = ", ".join(named) + (f" and {more} more" if more > 0 else "")
        return NonFiniteLossError(
            f"the loss is {value} (questions {ids})",
            where=f"step {seen.step}",
            fix="the last good checkpoint is kept; lower optimizer.lr or set trainer.gradient_clip_val",
        )
