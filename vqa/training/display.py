"""What a person sees while a run trains: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping

from tqdm import tqdm


class Display:
    """Progress of one process; silent for all but the first.

    Args:
        total: steps of the whole run.
        done: steps of earlier lives.
    """

    def __init__(self, total: int, done: int, epochs: int, *, enabled: bool) -> None:
        self._enabled, self._epochs = enabled, epochs
        self._terminal = enabled and sys.stderr.isatty()
        self._bar = (
            tqdm(total=total, initial=done, unit="step", dynamic_ncols=True)
            if self._terminal
            else None
        )
        self._questions, self._since = 0, time.perf_counter()

    def batch(self, questions: int) -> None:
        """So many questions more are trained on."""
        self._questions += questions

    def step(self) -> None:
        """One optimiser step is done."""
        if self._bar is not None:
            self._bar.update()

    def questions_a_second(self) -> float:
        """Questions trained on a second since the last epoch ended."""
        return self._questions / max(1e-9, time.perf_counter() - self._since)

    def epoch(self, number: int, values: Mapping[str, float]) -> None:
        """An epoch is done."""
        shown = {"questions/s": f"{self.questions_a_second():,.0f}"}
        shown |= {name: f"{value:.4g}" for name, value in values.items()}
        self._questions, self._since = 0, time.perf_counter()
        if self._bar is not None:
            self._bar.set_postfix(shown)
        elif self._enabled:
            self.say(
                f"epoch {number}/{self._epochs}  " + "  ".join(f"{k} {v}" for k, v in shown.items())
            )

    def say(self, message: str) -> None:
        """A line of its own."""
        if self._bar is not None:
            self._bar.write(message, file=sys.stderr)
        elif self._enabled:
            print(message, file=sys.stderr, flush=True)

    def close(self) -> None:
        """Leave the terminal tidy."""
        if self._bar is not None:
            self._bar.close()
